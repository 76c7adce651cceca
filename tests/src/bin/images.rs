//! Builds Restante's images from this working tree. Prints one line per image, with its name and the path of its
//! archive, for `podman load`, `docker load` or `ctr images import`.

use std::io::{self, Write};

use anyhow::Result;
use restante_tests::images;

fn main() -> Result<()> {
    for image in images::restante()? {
        writeln!(io::stdout(), "{} {}", image.name, image.archive.display())?;
    }
    Ok(())
}
