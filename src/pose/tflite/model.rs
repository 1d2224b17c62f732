//! The parts of TFLite's schema (version 3) that pose models use, as plain structs.
//!
//! Slot numbers and enum values: tensorflow `lite/schema/schema.fbs`.

use super::flatbuffer::{Corrupt, Table};

type Result<T> = std::result::Result<T, Corrupt>;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    F32,
    F16,
    I32,
    Other(u8),
}

/// How a sparse dimension's row boundaries and column numbers are stored.
pub struct SparseRows {
    pub segments: Vec<usize>,
    pub indices: Vec<usize>,
}

pub struct Tensor<'a> {
    pub name: String,
    pub shape: Vec<usize>,
    pub element: ElementType,
    /// The constant's bytes; empty for an activation.
    pub data: &'a [u8],
    /// For sparse constants, whose dimensions all are dense but the last.
    pub sparse: Option<SparseRows>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    Same,
    Valid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    None,
    Relu,
    Relu6,
    Other(u8),
}

#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub padding: Padding,
    /// Height, width.
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub activation: Activation,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Add(Activation),
    Concatenation {
        axis: i32,
    },
    Conv2d(Window),
    DepthwiseConv2d {
        window: Window,
        multiplier: usize,
    },
    DepthToSpace {
        block: usize,
    },
    Densify,
    Dequantize,
    Logistic,
    MaxPool2d {
        window: Window,
        size: [usize; 2],
    },
    Pad,
    Reshape,
    ResizeBilinear {
        align_corners: bool,
        half_pixel_centers: bool,
    },
    Unknown(i32),
}

pub struct Operator {
    pub kind: Kind,
    /// Tensor indices; -1 is an absent optional input.
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
}

pub struct Model<'a> {
    pub tensors: Vec<Tensor<'a>>,
    pub operators: Vec<Operator>,
    pub inputs: Vec<i32>,
    pub outputs: Vec<i32>,
}

impl<'a> Model<'a> {
    pub fn parse(data: &'a [u8]) -> Result<Self> {
        let root = Table::root(data)?;
        let buffers = root.table_vec(4)?;
        let builtin_codes = root
            .table_vec(1)?
            .iter()
            .map(builtin_code)
            .collect::<Result<Vec<_>>>()?;
        let graphs = root.table_vec(2)?;
        let graph = graphs.first().ok_or(Corrupt { at: 0 })?;
        let tensors = graph
            .table_vec(0)?
            .iter()
            .map(|table| tensor(table, &buffers))
            .collect::<Result<Vec<_>>>()?;
        let operators = graph
            .table_vec(3)?
            .iter()
            .map(|table| operator(table, &builtin_codes))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            tensors,
            operators,
            inputs: graph.i32_vec(1)?,
            outputs: graph.i32_vec(2)?,
        })
    }
}

/// Files from before 2020 hold the code in one byte, newer ones in both places.
fn builtin_code(table: &Table<'_>) -> Result<i32> {
    Ok(i32::from(table.u8(0, 0)?).max(table.i32(3, 0)?))
}

fn tensor<'a>(table: &Table<'a>, buffers: &[Table<'a>]) -> Result<Tensor<'a>> {
    let element = match table.u8(1, 0)? {
        0 => ElementType::F32,
        1 => ElementType::F16,
        2 => ElementType::I32,
        other => ElementType::Other(other),
    };
    let shape = table.i32_vec(0)?;
    let buffer = buffers
        .get(table.u32(2, 0)? as usize)
        .ok_or(Corrupt { at: 0 })?;
    let sparse = match table.table(6)? {
        Some(sparsity) => Some(sparse_rows(&sparsity)?),
        None => None,
    };
    Ok(Tensor {
        name: table.string(3)?,
        shape: shape.iter().map(|d| (*d).max(0) as usize).collect(),
        element,
        data: buffer.u8_vec(0)?,
        sparse,
    })
}

fn sparse_rows(sparsity: &Table<'_>) -> Result<SparseRows> {
    let dimensions = sparsity.table_vec(2)?;
    let last = dimensions.last().ok_or(Corrupt { at: 0 })?;
    Ok(SparseRows {
        segments: index_vector(last, 2)?,
        indices: index_vector(last, 4)?,
    })
}

/// A union of three integer vectors; its tag stands one slot before its value.
fn index_vector(dimension: &Table<'_>, tag_slot: usize) -> Result<Vec<usize>> {
    let corrupt = Corrupt { at: 0 };
    let values = dimension.table(tag_slot + 1)?.ok_or(corrupt)?;
    match dimension.u8(tag_slot, 0)? {
        1 => values
            .i32_vec(0)?
            .into_iter()
            .map(|v| usize::try_from(v).map_err(|_| Corrupt { at: 0 }))
            .collect(),
        2 => Ok(values.u16_vec(0)?.into_iter().map(usize::from).collect()),
        3 => Ok(values.u8_vec(0)?.iter().copied().map(usize::from).collect()),
        _ => Err(Corrupt { at: 0 }),
    }
}

fn activation(code: u8) -> Activation {
    match code {
        0 => Activation::None,
        1 => Activation::Relu,
        3 => Activation::Relu6,
        other => Activation::Other(other),
    }
}

fn operator(table: &Table<'_>, builtin_codes: &[i32]) -> Result<Operator> {
    let code = *builtin_codes
        .get(table.u32(0, 0)? as usize)
        .ok_or(Corrupt { at: 0 })?;
    let options = table.table(4)?;
    let byte = |slot: usize| options.map_or(Ok(0), |o| o.u8(slot, 0));
    let int = |slot: usize, default: i32| options.map_or(Ok(default), |o| o.i32(slot, default));
    let size = |slot: usize, default: i32| int(slot, default).map(|v| v.max(0) as usize);
    let padding = || {
        byte(0).map(|code| match code {
            0 => Padding::Same,
            _ => Padding::Valid,
        })
    };
    let kind = match code {
        0 => Kind::Add(activation(byte(0)?)),
        2 => Kind::Concatenation { axis: int(0, 0)? },
        3 => Kind::Conv2d(Window {
            padding: padding()?,
            stride: [size(2, 0)?, size(1, 0)?],
            dilation: [size(5, 1)?, size(4, 1)?],
            activation: activation(byte(3)?),
        }),
        4 => Kind::DepthwiseConv2d {
            window: Window {
                padding: padding()?,
                stride: [size(2, 0)?, size(1, 0)?],
                dilation: [size(6, 1)?, size(5, 1)?],
                activation: activation(byte(4)?),
            },
            multiplier: size(3, 0)?,
        },
        5 => Kind::DepthToSpace { block: size(0, 0)? },
        6 => Kind::Dequantize,
        14 => Kind::Logistic,
        17 => Kind::MaxPool2d {
            window: Window {
                padding: padding()?,
                stride: [size(2, 0)?, size(1, 0)?],
                dilation: [1, 1],
                activation: activation(byte(5)?),
            },
            size: [size(4, 0)?, size(3, 0)?],
        },
        22 => Kind::Reshape,
        23 => Kind::ResizeBilinear {
            align_corners: byte(2)? != 0,
            half_pixel_centers: byte(3)? != 0,
        },
        34 => Kind::Pad,
        124 => Kind::Densify,
        other => Kind::Unknown(other),
    };
    Ok(Operator {
        kind,
        inputs: table.i32_vec(1)?,
        outputs: table.i32_vec(2)?,
    })
}
