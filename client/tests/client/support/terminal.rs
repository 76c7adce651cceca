//! A terminal of the test's own.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    process::Stdio,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Both ends: what a command writes to one is read at the other.
pub(crate) struct Terminal {
    ours: File,
    commands: File,
}

impl Terminal {
    pub(crate) fn open() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let commands = OpenOptions::new().read(true).write(true).open(path).unwrap();
        Self { ours: ours.into(), commands }
    }

    /// Its end for a command's standard output or error.
    pub(crate) fn for_a_command(&self) -> Stdio {
        self.commands.try_clone().unwrap().into()
    }

    /// All that came; the commands have ended.
    pub(crate) fn shown(self) -> Vec<u8> {
        drop(self.commands);
        let (mut ours, mut shown) = (self.ours, Vec::new());
        // Once nobody has the other end, a read fails when there is no more.
        let _ = ours.read_to_end(&mut shown);
        shown
    }
}
