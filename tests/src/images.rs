//! Container images without a container engine and without a registry: static programs, `FROM scratch`, packed by
//! buildah, given to containerd as archives. Kept in cargo's target folder and made anew when a program has changed.

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

/// The image of a pod's first container, as containerd is told it.
pub const PAUSE: &str = "restante.local/pause:1";

/// An image in an archive.
#[derive(Debug, Clone)]
pub struct Image {
    /// Repository and tag.
    pub name: String,
    /// What `docker save` would write.
    pub archive: PathBuf,
}

impl Image {
    /// Gives the image to a cluster's containerd.
    pub fn import(&self, tools: &Tools, containerd_socket: &Path) -> Result<()> {
        let mut ctr = Command::new(tools.path("ctr"));
        ctr.arg("--address").arg(containerd_socket).args(["--namespace", "k8s.io", "images", "import"]);
        run(ctr.arg(&self.archive)).map(drop)
    }
}

/// The pause image.
pub fn pause() -> Result<Image> {
    let folder = programs::target_folder()?;
    let sources = workspace().join("tests/images");
    // Compiled each time, which takes a tenth of a second, in a folder that no other run writes to.
    let compiled = tempfile::tempdir_in(&folder)?;
    let program = compiled.path().join("pause");
    run(Command::new("gcc").args(["-O1", "-static", "-o"]).arg(&program).arg(sources.join("pause.c")))?;
    let pack =
        Pack { name: PAUSE.to_owned(), program, file: sources.join("pause.Containerfile"), stage: None };
    pack.run(&folder)
}

/// The broker's and the operator's image, of this version, built from this working tree.
pub fn restante() -> Result<[Image; 2]> {
    let (folder, programs) = (programs::target_folder()?, programs::build()?);
    let pack = |component: &str| {
        let name = format!("restante.local/{component}:{}", env!("CARGO_PKG_VERSION"));
        let program = programs.join(format!("restante-{component}"));
        let file = workspace().join("Containerfile");
        Pack { name, program, file, stage: Some(component.to_owned()) }.run(&folder)
    };
    Ok([pack("broker")?, pack("operator")?])
}

/// One program in one image.
struct Pack {
    name: String,
    program: PathBuf,
    file: PathBuf,
    /// Of a file with several; its program comes from the stage `build`, in whose place buildah takes a folder.
    stage: Option<String>,
}

impl Pack {
    fn run(self, folder: &Path) -> Result<Image> {
        let Self { name, program, file, stage } = self;
        let program_name =
            program.file_name().context("a program has a name")?.to_string_lossy().into_owned();
        // One at a time; cargo, which builds for minutes, has a lock of its own.
        let lock = File::create(folder.join("lock"))?;
        lock.lock().with_context(|| format!("{} cannot be locked", folder.display()))?;
        let key = key(&[&program, &file])?;
        let archive = folder.join(format!("{program_name}-{key}.tar"));
        if archive.is_file() {
            return Ok(Image { name, archive });
        }
        // A folder with the program and nothing else, to copy from.
        let context = tempfile::tempdir_in(folder)?;
        fs::copy(&program, context.path().join(&program_name))
            .with_context(|| format!("{} cannot be copied", program.display()))?;
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

/// buildah with its storage in our folder, whole files instead of layers of a driver that the machine may lack.
fn buildah(folder: &Path) -> Command {
    let mut buildah = Command::new("buildah");
    buildah.arg("--root").arg(folder.join("buildah")).arg("--runroot").arg(folder.join("buildah-run"));
    buildah.args(["--storage-driver", "vfs"]);
    buildah
}

fn key(files: &[&Path]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?);
    }
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Archives of earlier builds: nobody will ask for them again.
fn remove_archives_of(folder: &Path, program: &str) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{program}-")) && name.ends_with(".tar") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
