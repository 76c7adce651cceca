//! Sources of time: the wall clock, the boot clock, and the id of the boot.

use std::time::{SystemTime, UNIX_EPOCH};
#[cfg(test)]
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// The clocks of the machine, or of a simulated one.
#[derive(Debug, Clone)]
pub struct TimeSource {
    kind: Kind,
    is_trusted: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    System {
        boot: BootId,
    },
    #[cfg(test)]
    Test(Arc<Mutex<Machine>>),
}

/// Id of a boot of a machine; 0 when the system has none.
pub(super) type BootId = u128;

/// Linux's boot id: a random UUID, drawn at each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl TimeSource {
    pub fn system() -> Self {
        let boot = std::fs::read_to_string(BOOT_ID).ok();
        let boot = boot.and_then(|text| Uuid::parse_str(text.trim()).ok()).map_or(0, |id| id.as_u128());
        Self { kind: Kind::System { boot }, is_trusted: false }
    }

    /// Whether an administrator vouches for the wall clock: it then measures downtime over a reboot.
    pub fn trusted(self, is_trusted: bool) -> Self {
        Self { is_trusted, ..self }
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The wall clock, in milliseconds since 1970; negative before.
    pub(crate) fn wall_ms(&self) -> i64 {
        match &self.kind {
            Kind::System { .. } => system_wall_ms(),
            #[cfg(test)]
            Kind::Test(machine) => lock(machine).wall_ms,
        }
    }

    /// Nanoseconds since the machine booted, including the time that it slept. Nobody can set it.
    pub(super) fn boot_ns(&self) -> u64 {
        match &self.kind {
            Kind::System { .. } => {
                let time = clock_gettime(ClockId::Boottime);
                time.tv_sec.unsigned_abs() * NANOS_PER_SECOND + time.tv_nsec.unsigned_abs()
            }
            #[cfg(test)]
            Kind::Test(machine) => lock(machine).boot_ns,
        }
    }

    pub(super) fn boot_id(&self) -> BootId {
        match &self.kind {
            Kind::System { boot } => *boot,
            #[cfg(test)]
            Kind::Test(machine) => lock(machine).boot_id,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
fn system_wall_ms() -> i64 {
    let (now, before_1970) = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => (since, false),
        Err(error) => (error.duration(), true),
    };
    let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    if before_1970 { -millis } else { millis }
}

#[cfg(test)]
#[derive(Debug)]
struct Machine {
    wall_ms: i64,
    boot_ns: u64,
    boot_id: BootId,
}

#[cfg(test)]
fn lock(machine: &Mutex<Machine>) -> MutexGuard<'_, Machine> {
    machine.lock().unwrap()
}

/// A simulated machine: its time passes when the test calls `pass`. Clones are the same machine.
#[cfg(test)]
impl TimeSource {
    /// A machine that booted an hour ago, with this wall clock.
    pub fn of_test(wall_ms: i64) -> Self {
        let boot_ns = 3600 * NANOS_PER_SECOND;
        let machine = Machine { wall_ms, boot_ns, boot_id: 1 };
        Self { kind: Kind::Test(Arc::new(Mutex::new(machine))), is_trusted: false }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        match &self.kind {
            Kind::Test(machine) => lock(machine),
            Kind::System { .. } => panic!("the system's time cannot be moved"),
        }
    }

    /// Advances the wall clock and the boot clock.
    pub fn pass(&self, time: Duration) {
        let mut machine = self.machine();
        machine.wall_ms += time.as_millis() as i64;
        machine.boot_ns += time.as_nanos() as u64;
    }

    /// Waits: at once on a simulated machine.
    pub(super) fn wait(&self, time: Duration) {
        if matches!(self.kind, Kind::Test(_)) {
            self.pass(time);
        }
    }

    pub fn set_wall(&self, wall_ms: i64) {
        self.machine().wall_ms = wall_ms;
    }

    /// Reboots the machine, or moves the volume to another one: the boot clock starts again, and the wall clock
    /// continues.
    pub fn reboot(&self) {
        let mut machine = self.machine();
        machine.boot_id += 1;
        machine.boot_ns = 20 * NANOS_PER_SECOND;
    }
}
