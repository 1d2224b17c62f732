//! What the engine computes with: products of matrices, attention, and what goes element by
//! element, on the processor's widest vectors. Tokens lie side by side in vectors.

pub mod attention;
pub mod blocks;
pub mod elementwise;
pub mod gemm;
pub mod gemm_bf16;
pub mod loss;
pub mod matvec;
pub mod memory;
pub mod panels;
#[cfg(test)]
mod tests;

/// Functions that are compiled for several widths of vectors; the widest that the processor has is
/// called. Their bodies are plain loops over lanes that become vector instructions.
macro_rules! vectorised {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {$(
        $(#[$attribute])*
        #[allow(clippy::too_many_arguments)]
        $visibility fn $name($($argument: $type),*) $(-> $result)? {
            #[allow(clippy::too_many_arguments)]
            #[inline(always)]
            fn plain($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn wide($($argument: $type),*) $(-> $result)? {
                    plain($($argument),*)
                }
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx2,fma")]
                fn medium($($argument: $type),*) $(-> $result)? {
                    plain($($argument),*)
                }
                use $crate::llama::kernels::{Vectors, vectors};
                match vectors() {
                    // SAFETY: the processor has these instructions.
                    Vectors::Avx512 => return unsafe { wide($($argument),*) },
                    // SAFETY: as above.
                    Vectors::Avx2 => return unsafe { medium($($argument),*) },
                    Vectors::Portable => {}
                }
            }
            plain($($argument),*)
        }
    )*};
}
pub(crate) use vectorised;

/// The instructions that the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// With the extensions BW, DQ and VL, as all processors of the last years have it.
    Avx512,
    /// With FMA.
    Avx2,
    Portable,
}

/// The widest vectors of this processor.
#[inline]
pub fn vectors() -> Vectors {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            return Vectors::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Vectors::Avx2;
        }
    }
    Vectors::Portable
}
