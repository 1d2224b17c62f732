//! FFmpeg's libraries, loaded when the first of their functions is called.
//!
//! With all that they need in turn they are a hundred and sixty libraries, and cost every start of
//! the program more than a query takes. So the functions are defined here, one jump each, and the
//! linker leaves out libraries of which nothing else is used (`scripts/dist.sh` names them to the
//! package manager all the same). A jump leads to `posedata_load_ffmpeg` until its
//! library is loaded, and to FFmpeg's own function from then on.
//!
//! A function that is called and not listed below still works: then its library is linked as ever.

use std::arch::global_asm;
use std::ffi::{CStr, CString, c_int, c_void};
use std::io::{self, Write};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use ffmpeg_the_third::ffi;

/// A library, and the functions of it that are called.
struct Library {
    /// Without `lib`.
    name: &'static str,
    /// Of its interface; the number in the file's name.
    version: c_int,
    functions: &'static [Function],
    loaded: OnceLock<Result<(), String>>,
}

/// A function's name, and where its jump leads to.
struct Function {
    name: &'static CStr,
    target: &'static AtomicPtr<c_void>,
}

/// Defines the functions, and the table of libraries.
macro_rules! libraries {
    ($($name:literal version $version:ident { $($function:ident)* })*) => {
        $($(
            // The target's address goes to the loader in a register that is no argument's.
            global_asm!(
                ".pushsection .text.posedata_ffmpeg,\"ax\",@progbits",
                ".p2align 4",
                concat!(".hidden ", stringify!($function)),
                concat!(".globl ", stringify!($function)),
                concat!(".type ", stringify!($function), ", @function"),
                concat!(stringify!($function), ":"),
                "lea r11, [rip + {target}]",
                "jmp [r11]",
                concat!(".size ", stringify!($function), ", . - ", stringify!($function)),
                ".popsection",
                target = sym targets::$function,
            );
        )*)*

        /// Where the jumps lead to.
        #[allow(non_upper_case_globals)]
        mod targets {
            use super::{AtomicPtr, c_void, posedata_load_ffmpeg};

            $($(
                pub static $function: AtomicPtr<c_void> =
                    AtomicPtr::new(posedata_load_ffmpeg as *mut c_void);
            )*)*
        }

        static LIBRARIES: [Library; [$($name),*].len()] = [$(
            Library {
                name: $name,
                version: ffi::$version,
                functions: &[$(
                    Function {
                        // The name has no zero in it, and gets one at its end.
                        name: match CStr::from_bytes_with_nul(
                            concat!(stringify!($function), "\0").as_bytes(),
                        ) {
                            Ok(name) => name,
                            Err(_) => c"",
                        },
                        target: &targets::$function,
                    },
                )*],
                loaded: OnceLock::new(),
            },
        )*];
    };
}

libraries! {
    "avutil" version LIBAVUTIL_VERSION_MAJOR {
        av_color_transfer_name av_dict_copy av_dict_count av_dict_free av_dict_get av_dict_set
        av_frame_alloc av_frame_clone av_frame_copy av_frame_copy_props av_frame_free
        av_frame_get_buffer av_frame_get_plane_buffer av_frame_get_side_data av_frame_make_writable
        av_frame_new_side_data av_frame_remove_side_data av_frame_side_data_name av_frame_unref
        av_free av_image_get_linesize av_log_set_level av_pix_fmt_desc_get av_strdup av_strerror
    }
    "avcodec" version LIBAVCODEC_VERSION_MAJOR {
        av_init_packet av_packet_alloc av_packet_free av_packet_ref av_packet_unref
        avcodec_alloc_context3 avcodec_find_decoder avcodec_flush_buffers avcodec_free_context
        avcodec_get_name avcodec_open2 avcodec_parameters_to_context avcodec_receive_frame
        avcodec_send_packet
    }
    "avformat" version LIBAVFORMAT_VERSION_MAJOR {
        av_find_input_format av_guess_frame_rate av_guess_sample_aspect_ratio av_read_frame
        av_seek_frame av_stream_get_side_data avformat_alloc_context avformat_close_input
        avformat_find_stream_info avformat_free_context avformat_index_get_entries_count
        avformat_index_get_entry avformat_open_input avio_close
    }
    "avfilter" version LIBAVFILTER_VERSION_MAJOR {
        av_buffersink_get_frame av_buffersrc_add_frame_flags avfilter_get_by_name
        avfilter_graph_alloc avfilter_graph_config avfilter_graph_create_filter
        avfilter_graph_free avfilter_graph_get_filter avfilter_graph_parse_ptr
        avfilter_inout_alloc avfilter_inout_free
    }
    "swscale" version LIBSWSCALE_VERSION_MAJOR {
        sws_freeContext sws_getCachedContext sws_scale
    }
}

// Called through a target's jump, with the arguments of a function of FFmpeg: keeps those (System V
// ABI for x86-64: six registers, eight vectors, and al), loads, and goes on to the function.
global_asm!(
    ".pushsection .text.posedata_ffmpeg,\"ax\",@progbits",
    ".p2align 4",
    ".hidden posedata_load_ffmpeg",
    ".globl posedata_load_ffmpeg",
    ".type posedata_load_ffmpeg, @function",
    "posedata_load_ffmpeg:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "push r8",
    "push r9",
    "push rax",
    "push r11",
    "sub rsp, 128",
    "movups [rsp], xmm0",
    "movups [rsp + 16], xmm1",
    "movups [rsp + 32], xmm2",
    "movups [rsp + 48], xmm3",
    "movups [rsp + 64], xmm4",
    "movups [rsp + 80], xmm5",
    "movups [rsp + 96], xmm6",
    "movups [rsp + 112], xmm7",
    "mov rdi, r11",
    "call {load}",
    "movups xmm0, [rsp]",
    "movups xmm1, [rsp + 16]",
    "movups xmm2, [rsp + 32]",
    "movups xmm3, [rsp + 48]",
    "movups xmm4, [rsp + 64]",
    "movups xmm5, [rsp + 80]",
    "movups xmm6, [rsp + 96]",
    "movups xmm7, [rsp + 112]",
    "add rsp, 128",
    "pop r11",
    "pop rax",
    "pop r9",
    "pop r8",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "jmp [r11]",
    ".cfi_endproc",
    ".size posedata_load_ffmpeg, . - posedata_load_ffmpeg",
    ".popsection",
    load = sym load_for,
);

unsafe extern "C" {
    fn posedata_load_ffmpeg();
}

/// Loads all libraries that every video needs, for an error in time.
///
/// # Errors
/// The reason, when one of them cannot be loaded.
pub fn load() -> Result<(), String> {
    let for_some = |library: &&Library| library.name == "avfilter";
    (LIBRARIES.iter())
        .filter(|library| !for_some(library))
        .try_for_each(Library::load)
}

/// Loads the library of the function whose target this is; without it, nothing can go on.
extern "C" fn load_for(target: *const AtomicPtr<c_void>) {
    let has_target = |library: &&Library| {
        let mut targets = library.functions.iter().map(|function| function.target);
        targets.any(|known| std::ptr::eq(known, target))
    };
    let Some(library) = LIBRARIES.iter().find(has_target) else {
        process::abort();
    };
    if let Err(reason) = library.load() {
        let _ = writeln!(io::stderr(), "error: {reason}");
        process::exit(1);
    }
}

impl Library {
    fn load(&self) -> Result<(), String> {
        self.loaded.get_or_init(|| self.open()).clone()
    }

    fn open(&self) -> Result<(), String> {
        let file_name = format!("lib{}.so.{}", self.name, self.version);
        let failed = |reason: String| {
            format!(
                "FFmpeg's library {file_name} cannot be used ({reason}); install it, or posedata again on this system"
            )
        };
        let Ok(c_name) = CString::new(file_name.as_bytes()) else {
            return Err(failed("its name has a zero in it".into()));
        };
        // SAFETY: loads one of FFmpeg's libraries by the name that the linker would have noted down.
        let handle = unsafe { libc::dlopen(c_name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(failed(loading_error()));
        }
        for function in self.functions {
            // SAFETY: the handle is that of an open library, which is never closed.
            let address = unsafe { libc::dlsym(handle, function.name.as_ptr()) };
            if address.is_null() {
                return Err(failed(loading_error()));
            }
            function.target.store(address, Ordering::Release);
        }
        Ok(())
    }
}

fn loading_error() -> String {
    // SAFETY: gives a text that is there until this thread loads something else, or null.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the system does not say why".into();
    }
    // SAFETY: as above.
    (unsafe { CStr::from_ptr(text) })
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    static TARGET: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

    fn library(name: &'static str, version: c_int, function: &'static CStr) -> Library {
        let functions: &'static [Function] = Box::leak(Box::new([Function {
            name: function,
            target: &TARGET,
        }]));
        Library {
            name,
            version,
            functions,
            loaded: OnceLock::new(),
        }
    }

    #[test]
    fn a_library_or_a_function_that_is_not_there_is_named() {
        let error = library("avnothing", 7, c"av_nothing").load();
        let error = error.expect_err("no such library");
        assert!(error.contains("libavnothing.so.7"), "{error}");
        let version = LIBRARIES[0].version;
        let error = library("avutil", version, c"av_nothing").load();
        let error = error.expect_err("no such function");
        assert!(error.contains("av_nothing"), "{error}");
        assert!(TARGET.load(Ordering::Acquire).is_null());
    }

    #[test]
    fn a_call_loads_the_library_and_arrives_with_its_arguments() {
        // SAFETY: gives a constant string for a known number.
        let name = unsafe {
            CStr::from_ptr(ffi::av_color_transfer_name(
                ffi::AVColorTransferCharacteristic(16),
            ))
        };
        assert_eq!(name, c"smpte2084");
        assert!(load().is_ok());
    }
}
