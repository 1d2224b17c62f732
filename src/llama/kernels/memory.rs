//! How the allocator treats large buffers.

/// Makes the allocator keep what is freed, for the next pass: by default glibc gives large buffers
/// back to the system, which then clears every page of them again. Threads that begin afterwards
/// share one heap: passes run now on one thread and now on another, and each would keep as much in
/// a heap of its own. Once is enough; without glibc nothing happens.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        use std::sync::Once;

        // From glibc's malloc.h.
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_THRESHOLD: c_int = -3;
        const M_ARENA_MAX: c_int = -8;
        /// The most that it takes.
        const LARGEST_MMAP_THRESHOLD_BYTES: c_int = 32 << 20;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        static ONCE: Once = Once::new();
        // SAFETY: mallopt takes any values, and refuses those that it does not know.
        ONCE.call_once(|| unsafe {
            mallopt(M_ARENA_MAX, 1);
            mallopt(M_TRIM_THRESHOLD, c_int::MAX);
            mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD_BYTES);
        });
    }
}
