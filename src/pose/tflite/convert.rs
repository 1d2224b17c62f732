//! Rewrites a TFLite graph as ONNX.
//!
//! Four-dimensional activations change from NHWC to NCHW; all others keep TFLite's order of
//! elements, so a reshape from four dimensions is preceded by a transpose back to NHWC.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::flatbuffer::Corrupt;
use super::model::{Activation, ElementType, Kind, Model, Operator, Padding, Tensor, Window};
use super::onnx::{
    Attribute, GraphProto, IR_VERSION, ModelProto, NodeProto, OPSET_VERSION, OperatorSetId,
    TensorProto, ValueInfo,
};

/// Why a TFLite file cannot become ONNX.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The file ends, or points, where it must not.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// TFLite's name of it, or the number of its code.
    #[error("operator {0} is not one that pose models use, so it cannot be converted")]
    UnknownOperator(String),
    /// A constant or activation of a type or shape that pose models do not have.
    #[error("tensor {name}: {problem}")]
    Tensor {
        /// TFLite's name of the tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An output to keep is not there.
    #[error("the model has {found} outputs, but output {wanted} is asked for")]
    MissingOutput {
        /// Its position, from 0.
        wanted: usize,
        /// How many the model has.
        found: usize,
    },
}

type Result<T> = std::result::Result<T, ConvertError>;

/// An output to keep: its position among the TFLite model's outputs and its name in the ONNX model.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Counts from 0.
    pub position: usize,
    /// Must differ from the other outputs' names.
    pub name: &'static str,
}

/// Name of the converted model's input, [1, 3, side, side] f32.
pub const INPUT_NAME: &str = "image";

/// Converts a TFLite file's bytes to an ONNX file's bytes that compute just the given outputs.
///
/// Four-dimensional outputs come out as NCHW.
pub fn tflite_to_onnx(tflite: &[u8], outputs: &[Output]) -> Result<Vec<u8>> {
    let model = Model::parse(tflite)?;
    let mut converter = Converter {
        model: &model,
        constants: HashMap::new(),
        names: HashMap::new(),
        nodes: Vec::new(),
        initializers: Vec::new(),
    };
    converter.name_inputs_and_outputs(outputs)?;
    for operator in &model.operators {
        converter.operator(operator)?;
    }
    let graph = converter.into_graph(outputs)?;
    let onnx = ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetId {
            domain: String::new(),
            version: OPSET_VERSION,
        }],
    };
    Ok(onnx.encode_to_vec())
}

struct Converter<'m> {
    model: &'m Model<'m>,
    /// Folded constants as f32 in TFLite's order of elements.
    constants: HashMap<usize, Vec<f32>>,
    /// ONNX names of activations that are not simply numbered.
    names: HashMap<usize, String>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Converter<'_> {
    fn name_inputs_and_outputs(&mut self, outputs: &[Output]) -> Result<()> {
        let input = self.input_index()?;
        self.names.insert(input, INPUT_NAME.into());
        for output in outputs {
            let index = self.output_index(output)?;
            self.names.insert(index, output.name.into());
        }
        Ok(())
    }

    fn input_index(&self) -> Result<usize> {
        let first = self.model.inputs.first().copied().unwrap_or(-1);
        self.checked_index(first)
    }

    fn output_index(&self, output: &Output) -> Result<usize> {
        let found = self.model.outputs.len();
        let index = self.model.outputs.get(output.position).copied();
        self.checked_index(index.ok_or(ConvertError::MissingOutput {
            wanted: output.position,
            found,
        })?)
    }

    fn checked_index(&self, index: i32) -> Result<usize> {
        usize::try_from(index)
            .ok()
            .filter(|i| *i < self.model.tensors.len())
            .ok_or(ConvertError::Corrupt(Corrupt { at: 0 }))
    }

    /// The tensor index of an operator's input.
    fn input(&self, operator: &Operator, position: usize) -> Result<usize> {
        self.checked_index(operator.inputs.get(position).copied().unwrap_or(-1))
    }

    fn output(&self, operator: &Operator) -> Result<usize> {
        self.checked_index(operator.outputs.first().copied().unwrap_or(-1))
    }

    fn tensor(&self, index: usize) -> &Tensor<'_> {
        &self.model.tensors[index]
    }

    fn problem(&self, index: usize, problem: impl Into<String>) -> ConvertError {
        ConvertError::Tensor {
            name: self.tensor(index).name.clone(),
            problem: problem.into(),
        }
    }

    /// The ONNX name of an activation.
    fn name(&self, index: usize) -> String {
        match self.names.get(&index) {
            Some(name) => name.clone(),
            None => format!("t{index}"),
        }
    }

    /// Shape of a four-dimensional tensor as [N, H, W, C].
    fn nhwc(&self, index: usize) -> Result<[usize; 4]> {
        let shape = &self.tensor(index).shape;
        shape.as_slice().try_into().map_err(|_| {
            let problem = format!("expected four dimensions, found {}", shape.len());
            self.problem(index, problem)
        })
    }

    /// A constant's values as f32.
    fn floats(&self, index: usize) -> Result<Vec<f32>> {
        if let Some(values) = self.constants.get(&index) {
            return Ok(values.clone());
        }
        let tensor = self.tensor(index);
        let values = stored_floats(tensor)
            .ok_or_else(|| self.problem(index, "expected an f32 or f16 constant"))?;
        let wanted: usize = tensor.shape.iter().product();
        if values.len() != wanted {
            let problem = format!("holds {} values, its shape {wanted}", values.len());
            return Err(self.problem(index, problem));
        }
        Ok(values)
    }

    fn integers(&self, index: usize) -> Result<Vec<i64>> {
        let tensor = self.tensor(index);
        if tensor.element != ElementType::I32 || tensor.data.is_empty() {
            return Err(self.problem(index, "expected an i32 constant"));
        }
        let (chunks, _) = tensor.data.as_chunks::<4>();
        Ok(chunks
            .iter()
            .map(|b| i64::from(i32::from_le_bytes(*b)))
            .collect())
    }

    fn is_constant(&self, index: usize) -> bool {
        self.constants.contains_key(&index) || !self.tensor(index).data.is_empty()
    }

    fn activation_input(&self, operator: &Operator, position: usize) -> Result<String> {
        let index = self.input(operator, position)?;
        if self.is_constant(index) {
            return Err(self.problem(index, "a constant stands where an activation must"));
        }
        Ok(self.name(index))
    }

    fn node(&mut self, op: &str, inputs: Vec<String>, output: String, attributes: Vec<Attribute>) {
        self.nodes.push(NodeProto {
            input: inputs,
            name: format!("{op}_{output}"),
            output: vec![output],
            op_type: op.into(),
            attribute: attributes,
        });
    }

    fn f32_initializer(&mut self, name: String, shape: &[usize], values: &[f32]) -> String {
        self.initializers
            .push(TensorProto::f32(&name, shape, values));
        name
    }

    fn i64_initializer(&mut self, name: String, values: &[i64]) -> String {
        self.initializers.push(TensorProto::i64(&name, values));
        name
    }

    /// Adds a node and, behind it, the operator's fused activation.
    fn activated_node(
        &mut self,
        op: &str,
        inputs: Vec<String>,
        output: usize,
        attributes: Vec<Attribute>,
        activation: Activation,
    ) -> Result<()> {
        let result = self.name(output);
        let before = format!("{result}_linear");
        match activation {
            Activation::None => self.node(op, inputs, result, attributes),
            Activation::Relu => {
                self.node(op, inputs, before.clone(), attributes);
                self.node("Relu", vec![before], result, Vec::new());
            }
            Activation::Relu6 => {
                self.node(op, inputs, before.clone(), attributes);
                let bounds = ["relu6_min", "relu6_max"].map(String::from);
                let inputs = std::iter::once(before).chain(bounds).collect();
                self.node("Clip", inputs, result, Vec::new());
            }
            Activation::Other(code) => {
                let name = format!("{op} with fused activation {code}");
                return Err(ConvertError::UnknownOperator(name));
            }
        }
        Ok(())
    }

    fn operator(&mut self, operator: &Operator) -> Result<()> {
        match operator.kind {
            Kind::Densify | Kind::Dequantize => self.fold_constant(operator),
            Kind::Add(activation) => {
                let inputs = vec![
                    self.activation_input(operator, 0)?,
                    self.activation_input(operator, 1)?,
                ];
                let output = self.output(operator)?;
                self.activated_node("Add", inputs, output, Vec::new(), activation)
            }
            Kind::Conv2d(window) => self.conv(operator, &window),
            Kind::DepthwiseConv2d { window, multiplier } => {
                self.depthwise_conv(operator, &window, multiplier)
            }
            Kind::MaxPool2d { window, size } => self.max_pool(operator, &window, size),
            Kind::Pad => self.pad(operator),
            Kind::ResizeBilinear {
                align_corners: false,
                half_pixel_centers: true,
            } => self.resize(operator),
            Kind::ResizeBilinear { .. } => Err(ConvertError::UnknownOperator(
                "RESIZE_BILINEAR without half-pixel centres".into(),
            )),
            Kind::DepthToSpace { block } => {
                let inputs = vec![self.activation_input(operator, 0)?];
                let attributes = vec![
                    Attribute::from_int("blocksize", block as i64),
                    Attribute::from_string("mode", "DCR"),
                ];
                let output = self.name(self.output(operator)?);
                self.node("DepthToSpace", inputs, output, attributes);
                Ok(())
            }
            Kind::Logistic => {
                let inputs = vec![self.activation_input(operator, 0)?];
                let output = self.name(self.output(operator)?);
                self.node("Sigmoid", inputs, output, Vec::new());
                Ok(())
            }
            Kind::Reshape => self.reshape(operator),
            Kind::Concatenation { axis } => self.concatenate(operator, axis),
            Kind::Unknown(code) => Err(ConvertError::UnknownOperator(format!(
                "with TFLite's builtin code {code}"
            ))),
        }
    }

    fn fold_constant(&mut self, operator: &Operator) -> Result<()> {
        let (input, output) = (self.input(operator, 0)?, self.output(operator)?);
        let tensor = self.tensor(input);
        let values = match &tensor.sparse {
            Some(sparse) => {
                let stored = stored_floats(tensor)
                    .ok_or_else(|| self.problem(input, "expected a sparse f32 or f16 constant"))?;
                densify(&tensor.shape, &sparse.segments, &sparse.indices, &stored).ok_or_else(
                    || self.problem(input, "its sparse layout is not rows of one last dimension"),
                )?
            }
            None => self.floats(input)?,
        };
        self.constants.insert(output, values);
        Ok(())
    }

    /// Weights and bias as initializers; `weights` maps [a, h, w, b] to ONNX's order of elements.
    fn conv_inputs(
        &mut self,
        operator: &Operator,
        shape: [usize; 4],
        permute: fn(&[f32], [usize; 4]) -> Vec<f32>,
        onnx_shape: [usize; 4],
    ) -> Result<Vec<String>> {
        let image = self.activation_input(operator, 0)?;
        let weights = permute(&self.floats(self.input(operator, 1)?)?, shape);
        let bias = self.floats(self.input(operator, 2)?)?;
        let output = self.name(self.output(operator)?);
        Ok(vec![
            image,
            self.f32_initializer(format!("{output}_weight"), &onnx_shape, &weights),
            self.f32_initializer(format!("{output}_bias"), &[bias.len()], &bias),
        ])
    }

    fn conv(&mut self, operator: &Operator, window: &Window) -> Result<()> {
        let shape = self.nhwc(self.input(operator, 1)?)?;
        let [out_channels, height, width, in_channels] = shape;
        let onnx_shape = [out_channels, in_channels, height, width];
        let inputs = self.conv_inputs(operator, shape, ohwi_to_oihw, onnx_shape)?;
        let attributes = self.window_attributes(operator, window, [height, width])?;
        let output = self.output(operator)?;
        self.activated_node("Conv", inputs, output, attributes, window.activation)
    }

    fn depthwise_conv(
        &mut self,
        operator: &Operator,
        window: &Window,
        multiplier: usize,
    ) -> Result<()> {
        let weights = self.input(operator, 1)?;
        let shape = self.nhwc(weights)?;
        let [_, height, width, channels] = shape;
        if multiplier != 1 {
            let problem = format!("a depthwise convolution with multiplier {multiplier}");
            return Err(self.problem(weights, problem));
        }
        let onnx_shape = [channels, 1, height, width];
        // [1, h, w, c] to [c, 1, h, w]: the same permutation with one output channel.
        let permute = |values: &[f32], [_, h, w, c]: [usize; 4]| ohwi_to_oihw(values, [1, h, w, c]);
        let inputs = self.conv_inputs(operator, shape, permute, onnx_shape)?;
        let mut attributes = self.window_attributes(operator, window, [height, width])?;
        attributes.push(Attribute::from_int("group", channels as i64));
        let output = self.output(operator)?;
        self.activated_node("Conv", inputs, output, attributes, window.activation)
    }

    fn max_pool(&mut self, operator: &Operator, window: &Window, size: [usize; 2]) -> Result<()> {
        let inputs = vec![self.activation_input(operator, 0)?];
        let attributes = self.window_attributes(operator, window, size)?;
        let output = self.output(operator)?;
        self.activated_node("MaxPool", inputs, output, attributes, window.activation)
    }

    fn window_attributes(
        &self,
        operator: &Operator,
        window: &Window,
        size: [usize; 2],
    ) -> Result<Vec<Attribute>> {
        let input = self.input(operator, 0)?;
        let [_, height, width, _] = self.nhwc(input)?;
        if window.stride.contains(&0) {
            return Err(self.problem(input, "an operator on it has stride 0"));
        }
        let pads: Vec<[usize; 2]> = [height, width]
            .into_iter()
            .enumerate()
            .map(|(axis, length)| match window.padding {
                Padding::Valid => [0, 0],
                Padding::Same => same_padding(
                    length,
                    size[axis],
                    window.stride[axis],
                    window.dilation[axis],
                ),
            })
            .collect();
        let mut attributes = vec![
            Attribute::from_ints("kernel_shape", size),
            Attribute::from_ints("strides", window.stride),
            Attribute::from_ints("pads", [pads[0][0], pads[1][0], pads[0][1], pads[1][1]]),
        ];
        if window.dilation != [1, 1] {
            attributes.push(Attribute::from_ints("dilations", window.dilation));
        }
        Ok(attributes)
    }

    fn pad(&mut self, operator: &Operator) -> Result<()> {
        let input = self.activation_input(operator, 0)?;
        let rows = self.input(operator, 1)?;
        let amounts = self.integers(rows)?;
        let &[n0, n1, h0, h1, w0, w1, c0, c1] = amounts.as_slice() else {
            return Err(self.problem(rows, "expected paddings of four dimensions"));
        };
        let output = self.name(self.output(operator)?);
        let pads = [n0, c0, h0, w0, n1, c1, h1, w1];
        let pads = self.i64_initializer(format!("{output}_pads"), &pads);
        self.node("Pad", vec![input, pads], output, Vec::new());
        Ok(())
    }

    fn resize(&mut self, operator: &Operator) -> Result<()> {
        let input = self.activation_input(operator, 0)?;
        let output_index = self.output(operator)?;
        let [n, h, w, c] = self.nhwc(output_index)?;
        let output = self.name(output_index);
        let sizes = [n, c, h, w].map(|d| d as i64);
        let sizes = self.i64_initializer(format!("{output}_sizes"), &sizes);
        let attributes = vec![
            Attribute::from_string("mode", "linear"),
            Attribute::from_string("coordinate_transformation_mode", "half_pixel"),
        ];
        // The empty names are the region and the scales, which sizes replace.
        let inputs = vec![input, String::new(), String::new(), sizes];
        self.node("Resize", inputs, output, attributes);
        Ok(())
    }

    fn reshape(&mut self, operator: &Operator) -> Result<()> {
        let mut input = self.activation_input(operator, 0)?;
        let dimensions = self.tensor(self.input(operator, 0)?).shape.len();
        let output_index = self.output(operator)?;
        let output = self.name(output_index);
        let shape = &self.tensor(output_index).shape;
        if shape.len() == 4 {
            return Err(self.problem(output_index, "a reshape to four dimensions"));
        }
        let shape: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
        if dimensions == 4 {
            let nhwc = format!("{output}_nhwc");
            let permutation = vec![Attribute::from_ints("perm", [0, 2, 3, 1])];
            self.node("Transpose", vec![input], nhwc.clone(), permutation);
            input = nhwc;
        }
        let shape = self.i64_initializer(format!("{output}_shape"), &shape);
        self.node("Reshape", vec![input, shape], output, Vec::new());
        Ok(())
    }

    fn concatenate(&mut self, operator: &Operator, axis: i32) -> Result<()> {
        let output_index = self.output(operator)?;
        if self.tensor(output_index).shape.len() == 4 {
            return Err(self.problem(output_index, "a concatenation in four dimensions"));
        }
        let inputs = (0..operator.inputs.len())
            .map(|position| self.activation_input(operator, position))
            .collect::<Result<Vec<_>>>()?;
        let attributes = vec![Attribute::from_int("axis", i64::from(axis))];
        self.node("Concat", inputs, self.name(output_index), attributes);
        Ok(())
    }

    /// Keeps what the outputs need, and declares inputs and outputs.
    fn into_graph(mut self, outputs: &[Output]) -> Result<GraphProto> {
        self.f32_initializer("relu6_min".into(), &[], &[0.0]);
        self.f32_initializer("relu6_max".into(), &[], &[6.0]);
        let mut needed: HashSet<String> = outputs.iter().map(|o| o.name.to_owned()).collect();
        let mut kept: Vec<NodeProto> = Vec::new();
        while let Some(node) = self.nodes.pop() {
            if node.output.iter().any(|name| needed.contains(name)) {
                needed.extend(node.input.iter().cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        let initializer = std::mem::take(&mut self.initializers)
            .into_iter()
            .filter(|tensor| needed.contains(&tensor.name))
            .collect();
        let output = outputs
            .iter()
            .map(|output| {
                let index = self.output_index(output)?;
                Ok(ValueInfo::f32(output.name, &self.onnx_shape(index)))
            })
            .collect::<Result<Vec<_>>>()?;
        let input = ValueInfo::f32(INPUT_NAME, &self.onnx_shape(self.input_index()?));
        Ok(GraphProto {
            node: kept,
            name: "pose".into(),
            initializer,
            input: vec![input],
            output,
        })
    }

    fn onnx_shape(&self, index: usize) -> Vec<usize> {
        match self.tensor(index).shape.as_slice() {
            &[n, h, w, c] => vec![n, c, h, w],
            other => other.to_vec(),
        }
    }
}

/// The values that a constant's buffer holds, if it holds floating-point numbers.
fn stored_floats(tensor: &Tensor<'_>) -> Option<Vec<f32>> {
    match tensor.element {
        ElementType::F32 if !tensor.data.is_empty() => {
            let (chunks, _) = tensor.data.as_chunks::<4>();
            Some(chunks.iter().map(|b| f32::from_le_bytes(*b)).collect())
        }
        ElementType::F16 if !tensor.data.is_empty() => {
            let (chunks, _) = tensor.data.as_chunks::<2>();
            let float = |b: &[u8; 2]| half::f16::from_le_bytes(*b).to_f32();
            Some(chunks.iter().map(float).collect())
        }
        _ => None,
    }
}

/// Spreads a constant whose last dimension is stored as compressed sparse rows.
fn densify(
    shape: &[usize],
    segments: &[usize],
    indices: &[usize],
    stored: &[f32],
) -> Option<Vec<f32>> {
    let row_length = *shape.last()?;
    let mut dense = vec![0.0; shape.iter().product()];
    if segments.len() != dense.len() / row_length.max(1) + 1 || indices.len() != stored.len() {
        return None;
    }
    for (row, bounds) in segments.windows(2).enumerate() {
        let columns = indices.get(bounds[0]..bounds[1])?;
        for (column, value) in columns.iter().zip(&stored[bounds[0]..bounds[1]]) {
            let cell = dense.get_mut(row * row_length..(row + 1) * row_length)?;
            *cell.get_mut(*column)? = *value;
        }
    }
    Some(dense)
}

/// [out, height, width, in] to [out, in, height, width].
fn ohwi_to_oihw(values: &[f32], [out, height, width, inner]: [usize; 4]) -> Vec<f32> {
    let mut permuted = Vec::with_capacity(values.len());
    for o in 0..out {
        for i in 0..inner {
            for cell in 0..height * width {
                permuted.push(values[(o * height * width + cell) * inner + i]);
            }
        }
    }
    permuted
}

/// TFLite's SAME padding: what does not divide evenly goes behind.
fn same_padding(length: usize, kernel: usize, stride: usize, dilation: usize) -> [usize; 2] {
    let steps = length.div_ceil(stride).saturating_sub(1) * stride;
    let total = (steps + kernel.saturating_sub(1) * dilation + 1).saturating_sub(length);
    [total / 2, total - total / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_puts_the_odd_cell_behind() {
        assert_eq!(same_padding(256, 3, 2, 1), [0, 1]);
        assert_eq!(same_padding(255, 3, 2, 1), [1, 1]);
        assert_eq!(same_padding(64, 5, 1, 1), [2, 2]);
    }

    #[test]
    fn sparse_rows_spread_to_their_columns() {
        let dense = densify(&[2, 1, 1, 3], &[0, 2, 3], &[0, 2, 1], &[1.0, 2.0, 3.0]);
        assert_eq!(dense, Some(vec![1.0, 0.0, 2.0, 0.0, 3.0, 0.0]));
        let column_out_of_range = densify(&[1, 2], &[0, 1], &[5], &[1.0]);
        assert_eq!(column_out_of_range, None);
    }

    #[test]
    fn a_file_that_is_no_model_is_an_error() {
        assert!(tflite_to_onnx(b"not a model at all", &[]).is_err());
        assert!(tflite_to_onnx(&[], &[]).is_err());
    }
}
