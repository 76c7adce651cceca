//! Prints, writes or checks the YAML generated from the types: `cargo crdgen [print|write|check]`.

use std::{env, error::Error, fs, io::Write as _, path::Path, process::ExitCode};

use restante_crds::definitions::{GeneratedFile, files};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // The crate is one folder below the repository's root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = files()?;
    match env::args().nth(1).as_deref() {
        None | Some("print") => print(&files)?,
        Some("write") => write(&root, &files)?,
        Some("check") => return check(&root, &files),
        Some(other) => {
            writeln!(std::io::stderr(), "crdgen: unknown command {other:?}; use print, write or check")?;
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(files: &[GeneratedFile]) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for file in files.iter().filter(|file| file.path.starts_with("crds/")) {
        write!(out, "---\n{}", file.content)?;
    }
    Ok(())
}

fn write(root: &Path, files: &[GeneratedFile]) -> Result<(), Box<dyn Error>> {
    for file in files {
        let path = root.join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &file.content).map_err(|error| format!("cannot write {}: {error}", file.path))?;
    }
    Ok(())
}

fn check(root: &Path, files: &[GeneratedFile]) -> Result<ExitCode, Box<dyn Error>> {
    let stale: Vec<&str> = files
        .iter()
        .filter(|file| fs::read_to_string(root.join(&file.path)).ok().as_deref() != Some(&file.content))
        .map(|file| file.path.as_str())
        .collect();
    if stale.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        std::io::stderr(),
        "crdgen: stale: {}. Run `cargo crdgen write`, and commit the files.",
        stale.join(", ")
    )?;
    Ok(ExitCode::FAILURE)
}
