//! Lists the files that become part of the program, and lays DuckDB's library where the program
//! looks for it: in `../lib/posedata`, seen from the folder of the program. So that path is the same
//! for `target/release/posedata`, for tests and benchmarks, and for what `make install` puts
//! elsewhere. Asks the linker for a program that starts quickly, and tells the program whether it is
//! optimised.

use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

const LIBRARY: &str = "libduckdb.so";
const LIBRARY_FOLDER: &str = "lib/posedata";
/// Folders whose files are part of the program, see `src/shipped.rs`.
const SHIPPED_FOLDERS: [&str; 3] = ["queries", "schemas", "skeletons"];
/// The viewer's page, see `src/view/assets.rs`.
const PAGE_FOLDER: &str = "assets/view";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    if let Err(reason) = list_shipped_files().and_then(|()| list_page_files()) {
        println!("cargo::error={reason}");
        process::exit(1);
    }
    pack_relocations();
    tell_of_optimisation();
    if env::var_os("CARGO_FEATURE_BUNDLED").is_some() {
        return;
    }
    if let Err(reason) = lay_out() {
        println!(
            "cargo::error={reason}; run `make duckdb`, or build with `--features bundled`, which compiles DuckDB (20 minutes)"
        );
        process::exit(1);
    }
}

/// Loops whose every operation is a function are a hundred times slower where nothing is inlined:
/// such a program leaves the models to ONNX Runtime.
fn tell_of_optimisation() {
    println!("cargo::rustc-check-cfg=cfg(unoptimised)");
    if env::var("OPT_LEVEL").is_ok_and(|level| level == "0") {
        println!("cargo::rustc-cfg=unoptimised");
    }
}

/// A program of this size has 400,000 addresses that are moved at every start. As a table of bits
/// they are read in a tenth of the time, and the program is 9 MB smaller. glibc 2.36 and newer know
/// such tables, so that only where it is there the program is made for it.
fn pack_relocations() {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_for_here = env::var_os("TARGET") == env::var_os("HOST");
    let is_glibc = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_for_here && is_glibc && glibc_version().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg=-Wl,-z,pack-relative-relocs");
    }
}

#[cfg(target_env = "gnu")]
fn glibc_version() -> Option<(u32, u32)> {
    unsafe extern "C" {
        fn gnu_get_libc_version() -> *const std::ffi::c_char;
    }
    // SAFETY: gives a constant string.
    let version = unsafe { std::ffi::CStr::from_ptr(gnu_get_libc_version()) };
    let (major, minor) = version.to_str().ok()?.split_once('.')?;
    let digits = minor.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, digits.parse().ok()?))
}

#[cfg(not(target_env = "gnu"))]
fn glibc_version() -> Option<(u32, u32)> {
    None
}

/// Writes `shipped.rs`, which `src/shipped.rs` includes.
fn list_shipped_files() -> Result<(), String> {
    let variable = |name| env::var_os(name).ok_or(format!("{name} is not set"));
    let top = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let mut paths = Vec::new();
    for folder in SHIPPED_FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        files_below(&top, Path::new(folder), &mut paths)
            .map_err(|e| format!("cannot list {folder} ({e})"))?;
    }
    paths.sort();
    let entries = paths.iter().map(|path| {
        let whole = top.join(path);
        format!("    ShippedFile {{ path: {path:?}, text: include_str!({whole:?}) }},\n")
    });
    let list = format!(
        "const SHIPPED: &[ShippedFile] = &[\n{}];\n",
        entries.collect::<String>()
    );
    let out = PathBuf::from(variable("OUT_DIR")?).join("shipped.rs");
    fs::write(&out, list).map_err(|e| format!("cannot write ({e}): {}", out.display()))
}

/// Writes `page.rs`, which `src/view/assets.rs` includes: the files of the folder itself.
fn list_page_files() -> Result<(), String> {
    let variable = |name| env::var_os(name).ok_or(format!("{name} is not set"));
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join(PAGE_FOLDER);
    println!("cargo::rerun-if-changed={PAGE_FOLDER}");
    let cannot_list = |e: io::Error| format!("cannot list {PAGE_FOLDER} ({e})");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(cannot_list)? {
        let entry = entry.map_err(cannot_list)?;
        let name = entry.file_name().into_string();
        let is_file = entry.file_type().map_err(cannot_list)?.is_file();
        names.extend(
            name.into_iter()
                .filter(|name| is_file && !name.starts_with('.')),
        );
    }
    names.sort();
    let entries = names.iter().map(|name| {
        let path = folder.join(name);
        format!("    ({name:?}, include_bytes!({path:?}) as &[u8]),\n")
    });
    let list = format!(
        "const PAGE: &[(&str, &[u8])] = &[\n{}];\n",
        entries.collect::<String>()
    );
    let out = PathBuf::from(variable("OUT_DIR")?).join("page.rs");
    fs::write(&out, list).map_err(|e| format!("cannot write ({e}): {}", out.display()))
}

fn files_below(top: &Path, folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(top.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            files_below(top, &path, paths)?;
        } else if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(path);
        }
    }
    Ok(())
}

fn lay_out() -> Result<(), String> {
    let source = env::var_os("DUCKDB_LIB_DIR").ok_or("DUCKDB_LIB_DIR is not set")?;
    let source = PathBuf::from(source).join(LIBRARY);
    println!("cargo::rerun-if-changed={}", source.display());
    if !source.is_file() {
        return Err(format!(
            "DuckDB's library is not there: {}",
            source.display()
        ));
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    // target/release/build/posedata-HASH/out
    let profile = out
        .ancestors()
        .nth(3)
        .ok_or("OUT_DIR is not in a target folder")?;
    let target = profile.parent().unwrap_or(profile);
    // Programs lie in target/release; tests, benchmarks and examples one folder below it.
    for folder in [target, profile].map(|folder| folder.join(LIBRARY_FOLDER)) {
        link(&source, &folder).map_err(|e| {
            format!(
                "cannot lay out DuckDB's library ({e}): {}",
                folder.display()
            )
        })?;
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../{LIBRARY_FOLDER}");
    // Cargo adds folders of the target folder to the search path of documentation tests, which get
    // no link arguments.
    let beside_tests = profile.join(LIBRARY_FOLDER);
    println!("cargo::rustc-link-search=native={}", beside_tests.display());
    Ok(())
}

/// Gives the library a second name in `folder`, or copies it where that is not possible.
fn link(source: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let new = folder.join(format!("{LIBRARY}.{}", process::id()));
    fs::hard_link(source, &new).or_else(|_| fs::copy(source, &new).map(drop))?;
    fs::rename(&new, folder.join(LIBRARY))?;
    // Renaming one name of a file to another of its names does nothing.
    match fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
