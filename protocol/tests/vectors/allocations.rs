//! An allocator that counts, by thread, how many bytes have been asked for.

#![allow(unsafe_code)] // there is no other way to see allocations; it only passes them on

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static REQUESTED_BYTES: Cell<usize> = const { Cell::new(0) };
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
    let _ = REQUESTED_BYTES.try_with(|requested| requested.set(requested.get().saturating_add(bytes)));
}

/// How many bytes `work` asked for on this thread, whether it gave them back or not.
pub(crate) fn requested_bytes<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = REQUESTED_BYTES.get();
    let result = work();
    (result, REQUESTED_BYTES.get() - before)
}
