//! One change of a data folder.

use std::{fs, os::unix::fs::FileExt, path::Path};

use crate::log::disk::simulated::Chance;

/// A change of one or two files.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// One bit is flipped.
    Bit {
        file: String,
        byte: u64,
        bit: u8,
    },
    /// The file is truncated.
    Cut {
        file: String,
        bytes: u64,
    },
    /// A range is zeros.
    Zeros {
        file: String,
        from: u64,
        bytes: u64,
    },
    /// The file has trailing zeros.
    Longer {
        file: String,
        bytes: u64,
    },
    Missing {
        file: String,
    },
    /// Two files swap their names.
    Exchanged {
        one: String,
        other: String,
    },
    /// One file was copied over another.
    Over {
        from: String,
        to: String,
    },
    /// A copy with a name of its own.
    Twice {
        file: String,
        copy: String,
    },
}

impl Change {
    pub(super) fn draw(folder: &Path, chance: &mut Chance) -> Self {
        let files = files(folder);
        let mut one = || files[chance.below(files.len() as u64) as usize].clone();
        let (file, other) = (one(), one());
        let bytes = fs::metadata(folder.join(&file)).unwrap().len();
        let byte = interesting(&fs::read(folder.join(&file)).unwrap(), chance);
        match chance.below(16) {
            _ if bytes == 0 => Self::Missing { file },
            0..6 => Self::Bit { file, byte, bit: chance.below(8) as u8 },
            6..8 => Self::Cut { file, bytes: byte },
            8 => Self::Cut { file, bytes: byte / 512 * 512 },
            9 => Self::Zeros { file, from: byte, bytes: bytes - byte },
            10 => Self::Zeros { file, from: byte / 512 * 512, bytes: 512.min(bytes - byte / 512 * 512) },
            11 => Self::Longer { file, bytes: 1 + chance.below(8192) },
            12 => Self::Missing { file },
            13 => Self::Exchanged { one: file, other },
            14 => Self::Over { from: file, to: other },
            _ => Self::Twice { copy: format!("{file}.copy"), file },
        }
    }

    pub(super) fn make(&self, folder: &Path) {
        let open = |name: &str| fs::File::options().read(true).write(true).open(folder.join(name)).unwrap();
        match self {
            Self::Bit { file, byte, bit } => {
                let (file, mut changed) = (open(file), [0]);
                file.read_exact_at(&mut changed, *byte).unwrap();
                changed[0] ^= 1 << bit;
                file.write_all_at(&changed, *byte).unwrap();
            }
            Self::Cut { file, bytes } => open(file).set_len(*bytes).unwrap(),
            Self::Zeros { file, from, bytes } => {
                open(file).write_all_at(&vec![0; *bytes as usize], *from).unwrap();
            }
            Self::Longer { file, bytes } => {
                let file = open(file);
                file.set_len(file.metadata().unwrap().len() + bytes).unwrap();
            }
            Self::Missing { file } => fs::remove_file(folder.join(file)).unwrap(),
            Self::Exchanged { one, other } => {
                let aside = folder.join("aside");
                fs::rename(folder.join(one), &aside).unwrap();
                if one != other {
                    fs::rename(folder.join(other), folder.join(one)).unwrap();
                }
                fs::rename(aside, folder.join(other)).unwrap();
            }
            Self::Over { from, to } if from == to => {}
            Self::Over { from, to } => drop(fs::copy(folder.join(from), folder.join(to)).unwrap()),
            Self::Twice { file, copy } => drop(fs::copy(folder.join(file), folder.join(copy)).unwrap()),
        }
    }
}

/// A place in a file, mostly where something was written: changes within zeros show little.
fn interesting(bytes: &[u8], chance: &mut Chance) -> u64 {
    let place = chance.below(bytes.len().max(1) as u64);
    if chance.below(8) == 0 {
        return place;
    }
    let used = |place: &u64| bytes.get(*place as usize).is_some_and(|byte| *byte != 0);
    let after = (place..bytes.len() as u64).find(used);
    after.or_else(|| (0..place).rev().find(used)).unwrap_or(place)
}

/// All files of a folder, by relative path.
pub(super) fn files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    files.sort_unstable();
    files
}
