//! Memory that the process no longer needs.

/// Gives what the allocator holds back to the system; after an inventory that is more than all the rest.
#[expect(unsafe_code, reason = "the C library's function has no safe name")]
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> i32;
        }
        // SAFETY: it takes a number and touches only the allocator's free memory.
        unsafe {
            malloc_trim(0);
        }
    }
}
