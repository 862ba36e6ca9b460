//! An allocator that counts, by thread, how often it was asked, and for how many bytes.

#![allow(unsafe_code)] // there is no other way to see allocations; it only passes them on

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a thread asked for, whether it gave it back or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requested {
    pub(crate) times: usize,
    pub(crate) bytes: usize,
}

struct Counting;

thread_local! {
    static REQUESTED: Cell<Requested> = const { Cell::new(Requested { times: 0, bytes: 0 }) };
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments. Counting allocates nothing itself: the cell
// is initialised at compile time and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: usize) {
    // A thread that is ending has no cell any more; nobody measures that one.
    let _ = REQUESTED.try_with(|cell| {
        let Requested { times, bytes: before } = cell.get();
        cell.set(Requested {
            times: times + 1,
            bytes: before.saturating_add(bytes),
        });
    });
}

/// What `work` asked for on this thread.
pub(crate) fn requested<T>(work: impl FnOnce() -> T) -> (T, Requested) {
    let before = REQUESTED.get();
    let result = work();
    let after = REQUESTED.get();
    (
        result,
        Requested {
            times: after.times - before.times,
            bytes: after.bytes - before.bytes,
        },
    )
}
