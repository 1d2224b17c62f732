//! Files of named tensors: the safetensors format.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};

use super::super::{LlamaError, Matrix};
use super::writer::ModelWriter;
use super::{read_error, write_error};

/// Bytes of the number at the beginning, which says how long the header is.
const LENGTH_BYTES: usize = 8;
/// No header is longer (a limit of the format).
const MAX_HEADER_BYTES: usize = 100_000_000;
/// Tensors begin at multiples of this.
const ALIGNMENT: usize = 8;

/// A safetensors file that is read tensor by tensor, so that no more than one is in memory beside
/// what is made of them.
pub(super) struct TensorFile {
    path: PathBuf,
    file: File,
    header: Metadata,
    data_start: u64,
}

impl TensorFile {
    /// Reads a file's header.
    ///
    /// # Errors
    /// When it cannot be read, or does not fit the file's length.
    pub fn open(path: &Path) -> Result<Self, LlamaError> {
        let error = |reason: &dyn ToString| read_error(path, reason.to_string());
        let mut file = File::open(path).map_err(|e| error(&e))?;
        let mut length = [0; LENGTH_BYTES];
        file.read_exact(&mut length)
            .map_err(|_| error(&"it is shorter than a safetensors file"))?;
        let length = u64::from_le_bytes(length) as usize;
        if length > MAX_HEADER_BYTES {
            return Err(error(&"it does not begin as safetensors files do"));
        }
        let mut header = vec![0; length];
        file.read_exact(&mut header)
            .map_err(|_| error(&"its header is cut off"))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| error(&e))?;
        let data_start = (LENGTH_BYTES + length) as u64;
        let wanted = data_start + header.data_len() as u64;
        let found = file.metadata().map_err(|e| error(&e))?.len();
        if found != wanted {
            return Err(error(&format!(
                "it has {found} bytes in place of {wanted}; fetch it again"
            )));
        }
        Ok(Self {
            path: path.into(),
            file,
            header,
            data_start,
        })
    }

    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// A tensor in 32 bits; vectors as one row. `None`: there is none of that name.
    ///
    /// # Errors
    /// When its shape is another, or its elements are of an unknown type.
    pub fn read(&self, name: &str, wanted: &[usize]) -> Result<Option<Matrix>, LlamaError> {
        let Some(info) = self.header.info(name) else {
            return Ok(None);
        };
        if info.shape != wanted {
            return Err(LlamaError::Shape {
                path: self.path.clone(),
                name: name.into(),
                found: info.shape.clone(),
                wanted: wanted.into(),
            });
        }
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.file
            .read_exact_at(&mut bytes, self.data_start + start as u64)
            .map_err(|e| read_error(&self.path, e))?;
        let values = floats(info.dtype, &bytes).ok_or_else(|| {
            let dtype = info.dtype;
            read_error(
                &self.path,
                format!("'{name}' is of type {dtype}, and F32, F16 and BF16 are known"),
            )
        })?;
        let columns = wanted.last().copied().unwrap_or(1);
        Ok(Some(Matrix::from_f32(
            values.len() / columns,
            columns,
            values,
        )))
    }
}

/// Elements in 32 bits; `None` when they are of no type that weights have.
pub(super) fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    match dtype {
        Dtype::F32 => {
            let words = bytes.chunks_exact(4);
            Some(
                words
                    .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]))
                    .collect(),
            )
        }
        Dtype::F16 => Some(
            pairs
                .map(|pair| f16::from_le_bytes(pair).to_f32())
                .collect(),
        ),
        Dtype::BF16 => Some(
            pairs
                .map(|pair| bf16::from_le_bytes(pair).to_f32())
                .collect(),
        ),
        _ => None,
    }
}

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Floats {
    F32,
    Bf16,
}

impl Floats {
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// As `config.json` of transformers has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
        }
    }

    fn write(self, values: &[f32], out: &mut impl Write) -> std::io::Result<()> {
        let mut bytes = Vec::with_capacity(values.len() * self.bytes());
        for value in values {
            match self {
                Self::F32 => bytes.extend(value.to_le_bytes()),
                Self::Bf16 => bytes.extend(bf16::from_f32(*value).to_le_bytes()),
            }
        }
        out.write_all(&bytes)
    }
}

/// Writes a safetensors file whole or not at all. `tensors`: names and shapes; `values` gives the
/// elements of the tensor at a place among them. Ends early when `is_stopped` says so.
///
/// # Errors
/// When the disk takes no more, when `values` fails, [`LlamaError::Cancelled`] when it is stopped.
pub(super) fn write_tensors(
    path: &Path,
    floats: Floats,
    tensors: &[(String, Vec<usize>)],
    mut values: impl FnMut(usize) -> Result<Vec<f32>, LlamaError>,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), LlamaError> {
    let mut end = 0;
    let infos = tensors.iter().map(|(name, shape)| {
        let start = end;
        end += shape.iter().product::<usize>() * floats.bytes();
        let info = TensorInfo {
            dtype: floats.dtype(),
            shape: shape.clone(),
            data_offsets: (start, end),
        };
        (name.clone(), info)
    });
    // PyTorch's tools ask for it.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let header = Metadata::new(Some(format), infos.collect());
    let header = header.map_err(|e| write_error(path, e))?;
    let mut header = serde_json::to_vec(&header).map_err(|e| write_error(path, e))?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');

    let mut out = ModelWriter::create(path, is_stopped)?;
    out.write_all(&(header.len() as u64).to_le_bytes())
        .and_then(|()| out.write_all(&header))
        .map_err(|e| out.error(e))?;
    for place in 0..tensors.len() {
        let written = floats.write(&values(place)?, &mut out);
        written.map_err(|e| out.error(e))?;
    }
    out.finish()
}

/// A tensor's name, shape and elements.
pub(super) type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// All tensors of a small file.
///
/// # Errors
/// A reason for people: the file is damaged, or elements are of an unknown type.
pub(super) fn read_all(bytes: &[u8]) -> Result<Vec<NamedTensor>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let tensors = file.iter().map(|(name, view)| {
        let values = floats(view.dtype(), view.data());
        let values = values.ok_or_else(|| {
            let dtype = view.dtype();
            format!("'{name}' is of type {dtype}, and F32, F16 and BF16 are known")
        })?;
        Ok((name.to_owned(), view.shape().to_vec(), values))
    });
    tensors.collect()
}
