//! Vectors of 32-bit floats, as wide as the processor has them.

#![allow(
    unsafe_op_in_unsafe_fn,
    reason = "every function here is one instruction"
)]

use std::arch::x86_64::*;

/// A register of floats. All products are added without rounding between (FMA), lane by lane, so that
/// the width does not change results.
///
/// # Safety
/// The functions may only run where the processor has the instructions, inlined into functions that are
/// compiled for them.
pub trait Vector: Copy {
    /// Floats that it holds.
    const LANES: usize;
    unsafe fn zero() -> Self;
    unsafe fn splat(value: *const f32) -> Self;
    unsafe fn set(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// Floats of 16 bits.
    unsafe fn load_half(from: *const u16) -> Self;
    /// Bytes.
    unsafe fn load_levels(from: *const u8) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn mul_add(self, factor: Self, product: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    unsafe fn min(self, other: Self) -> Self;
    /// All lanes of registers with sixteen floats together, added up: each of the first half to the one
    /// half as far, and so on with what there is then.
    unsafe fn add_up(sixteen: &[Self]) -> f32;
}

#[inline(always)]
unsafe fn add_up_eight(eight: __m256) -> f32 {
    let (low, high) = (
        _mm256_castps256_ps128(eight),
        _mm256_extractf128_ps::<1>(eight),
    );
    let four = _mm_add_ps(low, high);
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    let one = _mm_add_ss(two, _mm_movehdup_ps(two));
    _mm_cvtss_f32(one)
}

#[derive(Clone, Copy)]
pub struct Avx512(__m512);

impl Vector for Avx512 {
    const LANES: usize = 16;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self(_mm512_setzero_ps())
    }
    #[inline(always)]
    unsafe fn splat(value: *const f32) -> Self {
        Self(_mm512_set1_ps(*value))
    }
    #[inline(always)]
    unsafe fn set(value: f32) -> Self {
        Self(_mm512_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(_mm512_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        Self(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast())))
    }
    #[inline(always)]
    unsafe fn load_levels(from: *const u8) -> Self {
        let bytes = _mm_loadu_si128(from.cast());
        Self(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        _mm512_storeu_ps(to, self.0);
    }
    /// self + factor * product
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, product: Self) -> Self {
        Self(_mm512_fmadd_ps(factor.0, product.0, self.0))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(_mm512_add_ps(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(_mm512_mul_ps(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(_mm512_max_ps(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        Self(_mm512_min_ps(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn add_up(sixteen: &[Self]) -> f32 {
        let all = _mm512_castps_pd(sixteen[0].0);
        let low = _mm256_castpd_ps(_mm512_castpd512_pd256(all));
        let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(all));
        add_up_eight(_mm256_add_ps(low, high))
    }
}

#[derive(Clone, Copy)]
pub struct Avx2(__m256);

impl Vector for Avx2 {
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self(_mm256_setzero_ps())
    }
    #[inline(always)]
    unsafe fn splat(value: *const f32) -> Self {
        Self(_mm256_broadcast_ss(&*value))
    }
    #[inline(always)]
    unsafe fn set(value: f32) -> Self {
        Self(_mm256_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(_mm256_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        Self(_mm256_cvtph_ps(_mm_loadu_si128(from.cast())))
    }
    #[inline(always)]
    unsafe fn load_levels(from: *const u8) -> Self {
        let bytes = _mm_loadl_epi64(from.cast());
        Self(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        _mm256_storeu_ps(to, self.0);
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, product: Self) -> Self {
        Self(_mm256_fmadd_ps(factor.0, product.0, self.0))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(_mm256_add_ps(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(_mm256_mul_ps(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(_mm256_max_ps(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        Self(_mm256_min_ps(self.0, other.0))
    }
    #[inline(always)]
    unsafe fn add_up(sixteen: &[Self]) -> f32 {
        add_up_eight(_mm256_add_ps(sixteen[0].0, sixteen[1].0))
    }
}
