//! Container images without a container engine and without a registry: static programs, `FROM scratch`, built by
//! buildah and imported into containerd as archives. They are cached in cargo's target folder and rebuilt when a
//! program has changed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{
    command::run,
    programs,
    tools::{Tools, workspace},
};

/// Name of the pause image, for containerd's configuration.
pub const PAUSE: &str = "restante.local/pause:1";

/// An image in an archive.
#[derive(Debug, Clone)]
pub struct Image {
    /// Repository and tag.
    pub name: String,
    /// An archive in the format of `docker save`.
    pub archive: PathBuf,
}

impl Image {
    /// Imports the image into a cluster's containerd.
    pub fn import(&self, tools: &Tools, containerd_socket: &Path) -> Result<()> {
        let mut ctr = Command::new(tools.path("ctr"));
        ctr.arg("--address").arg(containerd_socket).args(["--namespace", "k8s.io", "images", "import"]);
        run(ctr.arg(&self.archive)).map(drop)
    }
}

/// Builds the pause image.
pub fn pause() -> Result<Image> {
    let folder = programs::target_folder()?;
    let sources = workspace().join("tests/images");
    // Compiled each time, which takes a tenth of a second, in a folder of this run only.
    let compiled = tempfile::tempdir_in(&folder)?;
    let program = compiled.path().join("pause");
    run(Command::new("gcc").args(["-O1", "-static", "-o"]).arg(&program).arg(sources.join("pause.c")))?;
    let build =
        Build { name: PAUSE.to_owned(), program, file: sources.join("pause.Containerfile"), stage: None };
    build.run(&folder)
}

/// Builds the images of the broker and the operator from this working tree.
pub fn restante() -> Result<[Image; 2]> {
    let (folder, programs) = (programs::target_folder()?, programs::build()?);
    let build = |component: &str| {
        let name = format!("restante.local/{component}:{}", env!("CARGO_PKG_VERSION"));
        let program = programs.join(format!("restante-{component}"));
        let file = workspace().join("Containerfile");
        Build { name, program, file, stage: Some(component.to_owned()) }.run(&folder)
    };
    Ok([build("broker")?, build("operator")?])
}

/// The build of an image with one program.
struct Build {
    name: String,
    program: PathBuf,
    file: PathBuf,
    /// Stage of a file with several stages. Its program comes from the stage `build`, which a folder replaces here.
    stage: Option<String>,
}

impl Build {
    fn run(self, folder: &Path) -> Result<Image> {
        let Self { name, program, file, stage } = self;
        let program_name =
            program.file_name().context("a program has a name")?.to_string_lossy().into_owned();
        // One build at a time. cargo, which builds for minutes, has its own lock.
        let lock = File::create(folder.join("lock"))?;
        lock.lock().with_context(|| format!("cannot lock {}", folder.display()))?;
        let key = key(&[&program, &file])?;
        let archive = folder.join(format!("{program_name}-{key}.tar"));
        if archive.is_file() {
            return Ok(Image { name, archive });
        }
        // A build context with only the program.
        let context = tempfile::tempdir_in(folder)?;
        fs::copy(&program, context.path().join(&program_name))
            .with_context(|| format!("cannot copy {}", program.display()))?;
        let mut build = buildah(folder);
        build.args(["build", "--isolation", "chroot", "--tag", &name, "--file"]).arg(file);
        if let Some(stage) = stage {
            build.args([
                "--target",
                &stage,
                "--build-context",
                &format!("build={}", context.path().display()),
            ]);
        }
        run(build.arg(context.path()))?;
        remove_archives_of(folder, &program_name)?;
        let unfinished = archive.with_extension("tmp");
        let destination = format!("docker-archive:{}:{name}", unfinished.display());
        run(buildah(folder).args(["push", &name, &destination]))?;
        fs::rename(unfinished, &archive)?;
        Ok(Image { name, archive })
    }
}

/// buildah with its storage in this folder. The driver `vfs` stores complete files; the machine may lack the drivers
/// for layers.
fn buildah(folder: &Path) -> Command {
    let mut buildah = Command::new("buildah");
    buildah.arg("--root").arg(folder.join("buildah")).arg("--runroot").arg(folder.join("buildah-run"));
    buildah.args(["--storage-driver", "vfs"]);
    buildah
}

fn key(files: &[&Path]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Removes the archives of earlier builds, which are not used again.
fn remove_archives_of(folder: &Path, program: &str) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{program}-")) && name.ends_with(".tar") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
