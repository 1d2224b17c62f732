//! From planes to blue, green, red where parts of a picture have the bits of the whole: by the
//! best instructions of the processor, or by libswscale.

#[cfg(target_arch = "x86_64")]
use super::bgr_avx512::BgrKernel;
use super::placement::Size;
use super::scaler::{Planes, Scaler, Target, to_bgr};

/// Whether [`part_to_bgr`] asks the processor for the rows below a part itself.
pub fn asks_for_rows_below(format: i32) -> bool {
    #[cfg(target_arch = "x86_64")]
    return BgrKernel::of(format).is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Converts a part of a picture, or a whole one, of the kinds of which
/// [`super::on_demand::Checked`] says that both give the same bits: as [`to_bgr`] does without
/// scaling, where this processor can, without libswscale.
///
/// # Errors
/// As [`to_bgr`].
///
/// # Safety
/// As [`to_bgr`].
pub unsafe fn part_to_bgr(
    scaler: &mut Scaler,
    source: Planes,
    size: Size,
    target: Target,
) -> Result<(), String> {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = BgrKernel::of(source.format) {
        // SAFETY: as the caller says; the processor has the instructions.
        unsafe { kernel.convert(source, size, target) };
        return Ok(());
    }
    // SAFETY: as the caller says.
    unsafe { to_bgr(scaler, source, size, size, target) }
}
