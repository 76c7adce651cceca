//! Reported errors name the file and the system's reason.

use std::task::{Context, Poll};

use super::owner::Owner;
use crate::log::{
    AppendError, Log, LogError, OpenError, Options, Sync,
    conformance::{BlockingLog, wait},
    disk::{DiskLog, helper::starve, simulated::Simulated},
};

/// Ready when the log accepts another batch.
fn takes_batch(owner: &mut Owner, context: &mut Context<'_>) -> Poll<Result<(), LogError>> {
    while let Poll::Ready((_, outcome)) = owner.log.poll_commit(context) {
        if let Err(error) = outcome {
            return Poll::Ready(Err(error));
        }
    }
    owner.log.poll_takes_batch(context).map(Ok)
}

/// Uses the log in all ways in which an owner can meet an error, until it is unusable. Returns the first error.
fn first_error(owner: &mut Owner) -> LogError {
    for round in 0.. {
        for _ in 0..3 {
            match owner.push() {
                Ok(_) => {}
                Err(AppendError::Poisoned) => return owner.log.failure(),
                Err(other) => panic!("{other}"),
            }
            if round % 2 == 0 {
                // Several batches at once: one is written while another is synced.
                if let Err(error) = wait(|context| takes_batch(owner, context)) {
                    return error;
                }
                owner.log.commit(if round % 4 == 0 { Sync::Now } else { Sync::Later });
            }
        }
        let taken = wait(|context| takes_batch(owner, context));
        if let Err(error) = taken.and_then(|()| owner.log.committed(Sync::Now)) {
            return error;
        }
        if round % 5 == 4
            && let Err(error) = owner.reclaim()
        {
            return error;
        }
    }
    unreachable!("rounds go on until something fails")
}

#[test]
fn the_first_error_of_any_failing_write_or_sync_names_the_file_and_the_systems_reason() {
    for operations in 0..120 {
        let disk = Simulated::default();
        let mut owner = Owner::open(disk.clone()).unwrap();
        disk.fail_after(operations);
        let error = first_error(&mut owner);
        let LogError::Io { action, file, source } = &error else { panic!("{operations}: {error}") };
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.ends_with(".seg") || name == "synced", "{operations}: {error}");
        assert_eq!(source.raw_os_error(), Some(5), "{operations}: {error}");
        assert!(!action.is_empty());
    }
}

#[test]
fn a_lack_of_threads_is_reported_and_nothing_hangs() {
    let mut refused = 0;
    for threads in 0.. {
        starve::after(Some(threads));
        let opened = DiskLog::open_in(Simulated::default(), Options { segment_bytes: super::owner::SEGMENT });
        starve::after(None);
        match opened {
            Ok(_) => break,
            Err(error @ OpenError::Thread { .. }) => {
                assert!(error.to_string().contains("limit of processes"), "{error}");
                refused += 1;
            }
            Err(other) => panic!("{threads} threads: {other}"),
        }
    }
    assert!(refused > 5, "{refused} threads are missed");
}
