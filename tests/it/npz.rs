//! Reads NumPy's `.npz` archives of float32, uint8 and int32 arrays.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Array {
    /// The values of one entry of the first dimension.
    pub fn row(&self, index: usize) -> &[f32] {
        let length: usize = self.shape[1..].iter().product();
        &self.values[index * length..(index + 1) * length]
    }
}

pub fn load(name: &str) -> HashMap<String, Array> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(name);
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut archive = zip::ZipArchive::new(file).expect("a zip archive");
    (0..archive.len())
        .map(|i| {
            let mut entry = archive.by_index(i).expect("an entry");
            let name = entry.name().trim_end_matches(".npy").to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("an entry's bytes");
            (name, parse(&bytes))
        })
        .collect()
}

fn parse(bytes: &[u8]) -> Array {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00", "NumPy format 1.0");
    let header_length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + header_length]).expect("a header");
    let data = &bytes[10 + header_length..];
    assert!(header.contains("'fortran_order': False"), "{header}");
    let shape = header.split_once("'shape': (").expect("a shape").1;
    let shape = shape.split_once(')').expect("a shape's end").0;
    let shape: Vec<usize> = shape
        .split(',')
        .filter_map(|d| d.trim().parse().ok())
        .collect();
    let values: Vec<f32> = if header.contains("'<f4'") {
        let (chunks, _) = data.as_chunks::<4>();
        chunks.iter().map(|b| f32::from_le_bytes(*b)).collect()
    } else if header.contains("'|u1'") {
        data.iter().map(|b| f32::from(*b)).collect()
    } else if header.contains("'<i4'") {
        let (chunks, _) = data.as_chunks::<4>();
        chunks
            .iter()
            .map(|b| i32::from_le_bytes(*b) as f32)
            .collect()
    } else {
        panic!("another element type: {header}");
    };
    assert_eq!(values.len(), shape.iter().product::<usize>(), "{header}");
    Array { shape, values }
}
