//! Makes Restante's images from this working tree, and prints where: one line per image, its name and its archive, which
//! `podman load`, `docker load` and `ctr images import` take.

use std::io::{self, Write};

use anyhow::Result;
use restante_tests::images;

fn main() -> Result<()> {
    for image in images::restante()? {
        writeln!(io::stdout(), "{} {}", image.name, image.archive.display())?;
    }
    Ok(())
}
