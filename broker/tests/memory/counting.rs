//! The system's allocator, with a count of its bytes.

#![expect(unsafe_code, reason = "an allocator is unsafe to write; this one only counts what another does")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Counts all allocated bytes, by the requested sizes.
pub(crate) struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static MEASURING: Mutex<()> = Mutex::new(());

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = ALLOCATED.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// A measurement. Only one can run at a time.
pub(crate) struct Measured {
    before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Measured {
    /// Begins a measurement.
    pub(crate) fn begin() -> Self {
        let alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut measured = Self { before: 0, _alone: alone };
        measured.restart();
        measured
    }

    /// Begins another measurement.
    pub(crate) fn restart(&mut self) {
        self.before = ALLOCATED.load(Relaxed);
        MOST.store(self.before, Relaxed);
    }

    /// Bytes that were allocated and not freed.
    pub(crate) fn bytes(&self) -> usize {
        ALLOCATED.load(Relaxed).saturating_sub(self.before)
    }

    /// The peak of allocated bytes.
    pub(crate) fn peak(&self) -> usize {
        MOST.load(Relaxed).saturating_sub(self.before)
    }
}
