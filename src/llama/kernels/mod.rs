//! What the engine computes with: products of matrices, attention, and what goes element by
//! element, on the processor's widest vectors. Tokens lie side by side in vectors.

pub mod attention;
pub mod elementwise;
pub mod gemm;
pub mod loss;
pub mod matvec;
pub mod panels;

/// Runs `work` compiled for the widest vectors that the processor has. Only what is inlined into
/// it gains.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn wide<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        #[target_feature(enable = "avx2,fma")]
        fn medium<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the processor has these instructions.
            return unsafe { wide(work) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { medium(work) };
        }
    }
    work()
}
