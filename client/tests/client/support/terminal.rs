//! A pseudo-terminal for a test.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    process::Stdio,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Both ends of a pseudo-terminal. The test reads at one end what a command writes to the other.
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

    /// The command's end, for its standard output or error.
    pub(crate) fn for_a_command(&self) -> Stdio {
        self.commands.try_clone().unwrap().into()
    }

    /// Reads all output after the commands have ended.
    pub(crate) fn shown(self) -> Vec<u8> {
        drop(self.commands);
        let (mut ours, mut shown) = (self.ours, Vec::new());
        // After all other ends are closed, a read fails at the end of the output.
        let _ = ours.read_to_end(&mut shown);
        shown
    }
}
