//! The ONNX messages that a converted model needs, with the field numbers of `onnx.proto`.

use prost::Message;

/// Version of the file format; what ONNX 1.14 brought.
pub const IR_VERSION: i64 = 9;
/// Version of the default operator set.
pub const OPSET_VERSION: i64 = 18;

const TYPE_FLOAT: i32 = 1;
const TYPE_INT64: i32 = 7;

/// A whole file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// [`IR_VERSION`] in files that are made here.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Of the program that made the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Always there in a valid file.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// The operator sets that the graph's nodes are from.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetId>,
}

/// An operator set and its version.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetId {
    /// Empty for the default set.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// [`OPSET_VERSION`] in files that are made here.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// What is computed.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// Each after those whose outputs it takes.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// For people; must not be empty.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constants, by name.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// What has to be given to a run.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// What a run gives.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

/// An operator at work.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of tensors, in the operator's order; empty for an optional one that is left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of the tensors that it makes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// For people; may be empty.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Name of the operator, such as `Conv`.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Constants of the operator itself, such as strides.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

/// One constant of an operator: `kind` says which of the values counts.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// As the operator's definition has it.
    #[prost(string, tag = "1")]
    pub name: String,
    /// For kind 2.
    #[prost(int64, optional, tag = "3")]
    pub int: Option<i64>,
    /// UTF-8, for kind 3.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub string: Option<Vec<u8>>,
    /// For kind 7.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// `AttributeProto.AttributeType`.
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

impl Attribute {
    /// A single whole number.
    pub fn from_int(name: &str, value: i64) -> Self {
        Self {
            name: name.into(),
            int: Some(value),
            kind: 2,
            ..Self::default()
        }
    }

    /// A text.
    pub fn from_string(name: &str, value: &str) -> Self {
        Self {
            name: name.into(),
            string: Some(value.into()),
            kind: 3,
            ..Self::default()
        }
    }

    /// A list of whole numbers, such as a kernel's height and width.
    pub fn from_ints(name: &str, values: impl IntoIterator<Item = usize>) -> Self {
        Self {
            name: name.into(),
            ints: values.into_iter().map(|v| v as i64).collect(),
            kind: 7,
            ..Self::default()
        }
    }
}

/// A constant tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// The shape; empty for a scalar.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// `TensorProto.DataType`: 1 is f32, 7 is i64.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// What nodes know it by.
    #[prost(string, tag = "8")]
    pub name: String,
    /// The values, row-major, little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

impl TensorProto {
    /// `values` in row-major order; as many as the shape says.
    pub fn f32(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self {
            dims: dims(shape),
            data_type: TYPE_FLOAT,
            name: name.into(),
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// A list of whole numbers, such as a shape for `Reshape`.
    pub fn i64(name: &str, values: &[i64]) -> Self {
        Self {
            dims: vec![values.len() as i64],
            data_type: TYPE_INT64,
            name: name.into(),
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// What [`Self::f32`] was made of.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn f32_values(&self) -> Result<Vec<f32>, String> {
        Ok(self.raw(TYPE_FLOAT)?.map(f32::from_le_bytes).collect())
    }

    /// What [`Self::i64`] was made of.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn i64_values(&self) -> Result<Vec<i64>, String> {
        Ok(self.raw(TYPE_INT64)?.map(i64::from_le_bytes).collect())
    }

    fn raw<const BYTES: usize>(
        &self,
        data_type: i32,
    ) -> Result<impl Iterator<Item = [u8; BYTES]> + '_, String> {
        let (values, rest) = self.raw_data.as_chunks();
        let count = self.dims.iter().product::<i64>();
        if self.data_type != data_type || !rest.is_empty() || values.len() as i64 != count {
            return Err(format!("{} holds something else", self.name));
        }
        Ok(values.iter().copied())
    }
}

/// An input or output of the graph with its type.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    /// What nodes know it by.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Always there for inputs.
    #[prost(message, optional, tag = "2")]
    pub value_type: Option<ValueType>,
}

impl ValueInfo {
    /// A tensor of f32 whose shape is fixed.
    pub fn f32(name: &str, shape: &[usize]) -> Self {
        let dim = dims(shape)
            .into_iter()
            .map(|value| Dimension { value: Some(value) })
            .collect();
        Self {
            name: name.into(),
            value_type: Some(ValueType {
                tensor: Some(TensorType {
                    element: TYPE_FLOAT,
                    shape: Some(TensorShape { dim }),
                }),
            }),
        }
    }
}

/// Of all of ONNX's types only tensors are needed here.
#[derive(Clone, PartialEq, Message)]
pub struct ValueType {
    /// `None` where it is a sequence, a map or the like.
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

/// Element type and shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    /// `TensorProto.DataType`, as in [`TensorProto`].
    #[prost(int32, tag = "1")]
    pub element: i32,
    /// `None` where nothing is known of it, not even how many dimensions there are.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
}

/// The size of each dimension.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShape {
    /// From the outermost on.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// The size of one dimension.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// `None` where any size will do, such as that of a batch.
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
}

fn dims(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|d| *d as i64).collect()
}
