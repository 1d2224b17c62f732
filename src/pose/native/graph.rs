//! A converted model of BlazePose as the few kinds of layers that it has.
//!
//! What ONNX says with several nodes becomes one layer: padding goes into the convolution that needs it,
//! clipping and the addition of a residual into what makes the tensor.

use std::collections::{HashMap, HashSet};

use super::kernels::CHANNELS_COPIED;
use crate::pose::tflite::onnx::{Attribute, GraphProto, ModelProto, NodeProto, TensorProto};

/// Number of a tensor in [`Network::tensors`].
pub type TensorId = usize;

/// A square map of so many channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Height and width.
    pub side: usize,
    pub channels: usize,
}

/// Weights [out, in / groups, height, width] and a bias for each channel that comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    pub outputs: usize,
    pub values: Vec<f32>,
    pub bias: Vec<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Convolution of the picture [3, side, side], 3x3, every second place, one pixel of zeros around.
    Stem,
    /// Convolution 1x1.
    Pointwise,
    /// Each channel by itself, `kernel_side` squared, with so many zeros before the first row and column.
    Depthwise {
        kernel_side: usize,
        stride: usize,
        zeros_before: usize,
    },
    /// Convolution that covers the whole map.
    Whole,
    /// Twice the side, bilinear, by the middles of pixels.
    Upsample,
    /// The tensor itself; something is added to it.
    Identity,
    /// The largest of 2x2. There may be more channels behind it, of zeros.
    MaxPool,
    /// Twice the side: the first quarter of channels is each second pixel of each second row, the next one
    /// those right of them, then those below, then those below on the right.
    DepthToSpace,
}

/// An operation with what is done to each of its values: `clip(operation(input) + residual)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    pub operation: Operation,
    /// Of convolutions.
    pub weights: Option<Weights>,
    /// `None` for the picture.
    pub input: Option<TensorId>,
    pub residual: Option<TensorId>,
    /// The least and the most that values may be.
    pub clip: Option<[f32; 2]>,
    pub output: TensorId,
}

/// What a network gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Tensor(TensorId),
    /// The sigmoid of a tensor, which is left to whoever takes it.
    Sigmoid(TensorId),
    /// A convolution 1x1 of a tensor, which is left to whoever needs a part of it.
    Pointwise(TensorId, Weights),
    /// Maps one after the other: of each its pixels row by row, of each pixel its channels.
    Pixels(Vec<TensorId>),
}

impl Output {
    fn tensors(&self) -> &[TensorId] {
        match self {
            Self::Tensor(tensor) | Self::Sigmoid(tensor) | Self::Pointwise(tensor, _) => {
                std::slice::from_ref(tensor)
            }
            Self::Pixels(tensors) => tensors,
        }
    }
}

/// A model.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Height and width of the picture.
    pub picture_side: usize,
    pub tensors: Vec<Shape>,
    /// Each after those whose outputs it takes.
    pub layers: Vec<Layer>,
    /// What it gives, by names.
    pub outputs: Vec<(String, Output)>,
}

impl Network {
    /// Whether a tensor is needed when all layers are done.
    pub fn gives(&self, tensor: TensorId) -> bool {
        let mut outputs = self.outputs.iter();
        outputs.any(|(_, output)| output.tensors().contains(&tensor))
    }

    /// # Errors
    /// When it gives nothing of that name.
    pub fn output(&self, name: &str) -> Result<&Output, String> {
        let found = self.outputs.iter().find(|(other, _)| other == name);
        found
            .map(|(_, output)| output)
            .ok_or_else(|| format!("it has no output {name}"))
    }

    /// # Errors
    /// What the model has that BlazePose's have not.
    pub fn from_onnx(model: &ModelProto) -> Result<Self, String> {
        let graph = model.graph.as_ref().ok_or("it has no graph")?;
        Reader::new(graph)?.read(graph)
    }
}

/// What a name stands for.
#[derive(Clone)]
enum Value {
    Picture,
    Tensor(TensorId),
    /// With so many zeros before and behind each row and column.
    Padded(Option<TensorId>, [usize; 2]),
    /// The sigmoid of a tensor.
    Sigmoid(TensorId),
    /// A convolution 1x1 that is given as it is.
    Pointwise(TensorId, Weights),
    /// The pixels of maps in lists of so many values.
    Pixels(Vec<TensorId>, usize),
}

struct Reader<'g> {
    constants: HashMap<&'g str, &'g TensorProto>,
    /// How many nodes take a tensor of that name, with one more where the network gives it.
    uses: HashMap<&'g str, usize>,
    values: HashMap<&'g str, Value>,
    picture_side: usize,
    tensors: Vec<Shape>,
    layers: Vec<Layer>,
    /// What is given as it is made.
    outputs: HashSet<&'g str>,
}

impl<'g> Reader<'g> {
    fn new(graph: &'g GraphProto) -> Result<Self, String> {
        let [input] = &graph.input[..] else {
            return Err("it has not one input".into());
        };
        let shape = input.value_type.as_ref().and_then(|t| t.tensor.as_ref());
        let shape = shape.and_then(|t| t.shape.as_ref()).ok_or("no shape")?;
        let dims: Option<Vec<i64>> = shape.dim.iter().map(|d| d.value).collect();
        let picture_side = match dims.as_deref() {
            Some([1, 3, height, width]) if height == width && *height > 0 => *height as usize,
            _ => return Err(format!("its input has the shape {dims:?}")),
        };
        let mut uses = HashMap::new();
        let taken = graph.node.iter().flat_map(|node| &node.input);
        for name in taken.chain(graph.output.iter().map(|output| &output.name)) {
            *uses.entry(name.as_str()).or_insert(0) += 1;
        }
        let constants = graph.initializer.iter().map(|t| (t.name.as_str(), t));
        Ok(Self {
            constants: constants.collect(),
            uses,
            values: HashMap::from([(input.name.as_str(), Value::Picture)]),
            picture_side,
            tensors: Vec::new(),
            layers: Vec::new(),
            outputs: graph.output.iter().map(|o| o.name.as_str()).collect(),
        })
    }

    fn read(mut self, graph: &'g GraphProto) -> Result<Network, String> {
        for node in &graph.node {
            self.node(node)
                .map_err(|reason| format!("{} {:?}: {reason}", node.op_type, node.output))?;
        }
        let output = |name: &str| match self.value(name)? {
            Value::Tensor(tensor) => Ok(Output::Tensor(tensor)),
            Value::Sigmoid(tensor) => Ok(Output::Sigmoid(tensor)),
            Value::Pointwise(tensor, weights) => Ok(Output::Pointwise(tensor, weights)),
            Value::Pixels(tensors, _) => Ok(Output::Pixels(tensors)),
            Value::Picture | Value::Padded(..) => Err(format!("{name} is no output")),
        };
        let names = graph.output.iter().map(|output| output.name.clone());
        let outputs = names.map(|name| Ok((name.clone(), output(&name)?)));
        let outputs = outputs.collect::<Result<_, String>>()?;
        Ok(Network {
            picture_side: self.picture_side,
            tensors: self.tensors,
            layers: self.layers,
            outputs,
        })
    }

    fn node(&mut self, node: &'g NodeProto) -> Result<(), String> {
        let [output] = &node.output[..] else {
            return Err("more than one output".into());
        };
        let input = node.input.first().map_or("", String::as_str);
        let value = match node.op_type.as_str() {
            "Pad" => self.pad(node)?,
            "Conv" => self.convolution(node)?,
            "Clip" => {
                let bounds = [self.scalar(&node.input, 1)?, self.scalar(&node.input, 2)?];
                let layer = self.maker(input)?;
                if layer.clip.replace(bounds).is_some() {
                    return Err("it is clipped twice".into());
                }
                Value::Tensor(layer.output)
            }
            "Add" => self.addition(node)?,
            "Resize" => self.upsampling(node)?,
            "MaxPool" => self.pooling(node)?,
            "Sigmoid" => Value::Sigmoid(self.tensor(input)?),
            "Transpose" | "Reshape" => self.other_order(node)?,
            "Concat" => self.one_after_the_other(node)?,
            "DepthToSpace" => self.depth_to_space(node)?,
            _ => return Err("BlazePose's models have no such operator".into()),
        };
        self.values.insert(output, value);
        Ok(())
    }

    fn value(&self, name: &str) -> Result<Value, String> {
        let value = self.values.get(name).cloned();
        value.ok_or_else(|| format!("nothing makes {name}"))
    }

    fn tensor(&self, name: &str) -> Result<TensorId, String> {
        match self.value(name)? {
            Value::Tensor(tensor) => Ok(tensor),
            _ => Err(format!("{name} is no plain tensor")),
        }
    }

    /// The layer that makes a tensor which nobody else takes as it is.
    fn maker(&mut self, name: &str) -> Result<&mut Layer, String> {
        let tensor = self.tensor(name)?;
        if self.uses.get(name) != Some(&1) {
            return Err(format!("{name} is also used otherwise"));
        }
        let mut layers = self.layers.iter_mut();
        let found = layers.rfind(|layer| layer.output == tensor);
        found.ok_or_else(|| format!("no layer makes {name}"))
    }

    fn constant(&self, names: &[String], position: usize) -> Result<&'g TensorProto, String> {
        let name = names.get(position).ok_or("an input is missing")?;
        let constant = self.constants.get(name.as_str()).copied();
        constant.ok_or_else(|| format!("{name} is not constant"))
    }

    fn scalar(&self, names: &[String], position: usize) -> Result<f32, String> {
        match self.constant(names, position)?.f32_values()?[..] {
            [value] => Ok(value),
            _ => Err("a bound is no single value".into()),
        }
    }

    fn add_layer(
        &mut self,
        (operation, weights): (Operation, Option<Weights>),
        input: Option<TensorId>,
        shape: Shape,
    ) -> Value {
        self.tensors.push(shape);
        let output = self.tensors.len() - 1;
        self.layers.push(Layer {
            operation,
            weights,
            input,
            residual: None,
            clip: None,
            output,
        });
        Value::Tensor(output)
    }

    fn pad(&mut self, node: &NodeProto) -> Result<Value, String> {
        let amounts = self.constant(&node.input, 1)?.i64_values()?;
        let input = match self.value(&node.input[0])? {
            Value::Picture => None,
            Value::Tensor(tensor) => Some(tensor),
            _ => return Err("padded twice".into()),
        };
        match (&amounts[..], input) {
            (&[0, 0, top, left, 0, 0, bottom, right], _)
                if top == left && bottom == right && top >= 0 && bottom >= 0 =>
            {
                Ok(Value::Padded(input, [top as usize, bottom as usize]))
            }
            // More channels, of zeros.
            (&[0, 0, 0, 0, 0, more, 0, 0], Some(tensor)) if more > 0 => {
                let is_pool = |layer: &Layer| layer.operation == Operation::MaxPool;
                if !is_pool(self.maker(&node.input[0])?) {
                    return Err("zeros behind something else than pooling".into());
                }
                self.tensors[tensor].channels += more as usize;
                Ok(Value::Tensor(tensor))
            }
            _ => Err(format!("amounts {amounts:?}")),
        }
    }

    fn convolution(&mut self, node: &NodeProto) -> Result<Value, String> {
        let weights = self.constant(&node.input, 1)?;
        let bias = self.constant(&node.input, 2)?.f32_values()?;
        let &[outputs, group_inputs, kernel_side, kernel_width] = &weights.dims[..] else {
            return Err(format!("weights of shape {:?}", weights.dims));
        };
        let weights = Weights {
            outputs: outputs as usize,
            values: weights.f32_values()?,
            bias,
        };
        let kernel_side = kernel_side as usize;
        let count = weights.outputs * group_inputs as usize * kernel_side * kernel_width as usize;
        if weights.values.len() != count || weights.bias.len() != weights.outputs {
            return Err("weights of another shape than they say".into());
        }
        let groups = attribute(node, "group").and_then(|a| a.int).unwrap_or(1);
        let stride = match ints(node, "strides")[..] {
            [stride, same] if stride == same && stride > 0 => stride as usize,
            ref strides => return Err(format!("strides {strides:?}")),
        };
        let own = match ints(node, "pads")[..] {
            [] => [0, 0],
            [top, left, bottom, right] if top == left && bottom == right => {
                [top as usize, bottom as usize]
            }
            ref pads => return Err(format!("pads {pads:?}")),
        };
        let (input, around) = match self.value(&node.input[0])? {
            Value::Picture => (None, [0, 0]),
            Value::Tensor(tensor) => (Some(tensor), [0, 0]),
            Value::Padded(tensor, around) => (tensor, around),
            _ => return Err("of what is no tensor".into()),
        };
        let [before, behind] = [own[0] + around[0], own[1] + around[1]];
        let given = input.map_or(
            Shape {
                side: self.picture_side,
                channels: 3,
            },
            |tensor| self.tensors[tensor],
        );
        let padded_side = given.side + before + behind;
        if kernel_width as usize != kernel_side || padded_side < kernel_side {
            return Err(format!("a kernel of {kernel_side}x{kernel_width}"));
        }
        let shape = Shape {
            side: (padded_side - kernel_side) / stride + 1,
            channels: weights.outputs,
        };
        let is_depthwise = groups as usize == given.channels && group_inputs == 1;
        let is_dense = groups == 1 && group_inputs as usize == given.channels;
        let operation = match (input, kernel_side, stride) {
            (None, 3, 2) if is_dense && before == 1 && shape.side * 2 == given.side => {
                Operation::Stem
            }
            (Some(tensor), 1, 1) if is_dense && before + behind == 0 => {
                if self.outputs.contains(node.output[0].as_str()) {
                    return Ok(Value::Pointwise(tensor, weights));
                }
                Operation::Pointwise
            }
            (Some(_), 3 | 5, 1 | 2) if is_depthwise && weights.outputs == given.channels => {
                Operation::Depthwise {
                    kernel_side,
                    stride,
                    zeros_before: before,
                }
            }
            (Some(_), 2, 1) if is_dense && given.side == 2 && before + behind == 0 => {
                Operation::Whole
            }
            _ => return Err("a convolution of another kind".into()),
        };
        Ok(self.add_layer((operation, Some(weights)), input, shape))
    }

    /// Goes into the layer that makes one of both, where that can add something.
    fn addition(&mut self, node: &NodeProto) -> Result<Value, String> {
        let [a, b] = [self.tensor(&node.input[0])?, self.tensor(&node.input[1])?];
        if self.tensors[a] != self.tensors[b] {
            return Err("of two shapes".into());
        }
        for (name, other) in [(&node.input[0], b), (&node.input[1], a)] {
            let Ok(layer) = self.maker(name) else {
                continue;
            };
            let takes_residuals =
                matches!(layer.operation, Operation::Pointwise | Operation::Upsample);
            if takes_residuals && layer.residual.is_none() && layer.clip.is_none() {
                let made = layer.output;
                layer.residual = Some(other);
                // The other may be made behind it.
                let place = self.layers.iter().position(|layer| layer.output == made);
                let layer = self.layers.remove(place.ok_or("no layer")?);
                self.layers.push(layer);
                return Ok(Value::Tensor(made));
            }
        }
        let sum = self.add_layer((Operation::Identity, None), Some(a), self.tensors[a]);
        if let Some(layer) = self.layers.last_mut() {
            layer.residual = Some(b);
        }
        Ok(sum)
    }

    fn upsampling(&mut self, node: &NodeProto) -> Result<Value, String> {
        let input = self.tensor(&node.input[0])?;
        let shape = Shape {
            side: 2 * self.tensors[input].side,
            channels: self.tensors[input].channels,
        };
        let sizes = self.constant(&node.input, 3)?.i64_values()?;
        let text = |name| attribute(node, name).and_then(|a| a.string.as_deref());
        let is_known = text("mode") == Some(b"linear")
            && text("coordinate_transformation_mode") == Some(b"half_pixel")
            && sizes[..] == [1, shape.channels, shape.side, shape.side].map(|n| n as i64);
        if !is_known {
            return Err("of another kind".into());
        }
        Ok(self.add_layer((Operation::Upsample, None), Some(input), shape))
    }

    /// Axes in another order, or tensors in another shape: of maps of one place, for which that means nothing,
    /// and where it makes lists of pixels.
    fn other_order(&mut self, node: &NodeProto) -> Result<Value, String> {
        let value = self.value(&node.input[0])?;
        let is_transpose = node.op_type == "Transpose";
        match value {
            Value::Tensor(tensor) | Value::Sigmoid(tensor) if self.tensors[tensor].side == 1 => {
                Ok(value)
            }
            Value::Tensor(tensor) if is_transpose && ints(node, "perm") == [0, 2, 3, 1] => {
                Ok(Value::Pixels(vec![tensor], self.tensors[tensor].channels))
            }
            Value::Pixels(tensors, _) if !is_transpose => {
                let shape = self.constant(&node.input, 1)?.i64_values()?;
                match shape[..] {
                    [1, lists, values] if lists > 0 && values > 0 => {
                        Ok(Value::Pixels(tensors, values as usize))
                    }
                    _ => Err(format!("to the shape {shape:?}")),
                }
            }
            _ => Err("of another kind".into()),
        }
    }

    /// Lists of pixels one after the other.
    fn one_after_the_other(&mut self, node: &NodeProto) -> Result<Value, String> {
        let mut all = Vec::new();
        let mut lengths = Vec::new();
        for name in &node.input {
            let Value::Pixels(tensors, length) = self.value(name)? else {
                return Err(format!("{name} has no pixels"));
            };
            all.extend(tensors);
            lengths.push(length);
        }
        let axis = attribute(node, "axis").and_then(|a| a.int);
        match lengths[..] {
            [length, ref others @ ..] if axis == Some(1) && others.iter().all(|n| *n == length) => {
                Ok(Value::Pixels(all, length))
            }
            _ => Err(format!("of lists of {lengths:?} along axis {axis:?}")),
        }
    }

    fn depth_to_space(&mut self, node: &NodeProto) -> Result<Value, String> {
        let input = self.tensor(&node.input[0])?;
        let Shape { side, channels } = self.tensors[input];
        let mode = attribute(node, "mode").and_then(|a| a.string.as_deref());
        let block_side = attribute(node, "blocksize").and_then(|a| a.int);
        let is_known =
            mode == Some(b"DCR") && block_side == Some(2) && channels % (4 * CHANNELS_COPIED) == 0;
        if !is_known {
            return Err(format!("of another kind, or of {channels} channels"));
        }
        let shape = Shape {
            side: 2 * side,
            channels: channels / 4,
        };
        Ok(self.add_layer((Operation::DepthToSpace, None), Some(input), shape))
    }

    fn pooling(&mut self, node: &NodeProto) -> Result<Value, String> {
        let input = self.tensor(&node.input[0])?;
        let Shape { side, channels } = self.tensors[input];
        let is_known = ints(node, "kernel_shape") == [2, 2]
            && ints(node, "strides") == [2, 2]
            && ints(node, "pads").iter().all(|pad| *pad == 0)
            && side % 2 == 0;
        if !is_known {
            return Err("of another kind".into());
        }
        let shape = Shape {
            side: side / 2,
            channels,
        };
        Ok(self.add_layer((Operation::MaxPool, None), Some(input), shape))
    }
}

fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n Attribute> {
    node.attribute.iter().find(|one| one.name == name)
}

fn ints<'n>(node: &'n NodeProto, name: &str) -> &'n [i64] {
    attribute(node, name).map_or(&[], |a| &a.ints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::tflite::onnx::ValueInfo;

    fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            input: input.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            op_type: op_type.to_owned(),
            ..NodeProto::default()
        }
    }

    fn refused(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> String {
        let graph = GraphProto {
            node: nodes,
            initializer: constants,
            input: vec![ValueInfo::f32("image", &[1, 3, 64, 64])],
            output: vec![ValueInfo::f32("points", &[1, 195])],
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        Network::from_onnx(&model).expect_err("none of BlazePose's models")
    }

    #[test]
    fn what_blazeposes_models_do_not_have_is_named() {
        let told = refused(vec![node("Softmax", &["image"], "t1")], Vec::new());
        assert!(told.contains("Softmax") && told.contains("t1"), "{told}");
        let told = refused(vec![node("MaxPool", &["image"], "t1")], Vec::new());
        assert!(told.contains("image is no plain tensor"), "{told}");
        let told = refused(Vec::new(), Vec::new());
        assert!(told.contains("nothing makes points"), "{told}");
    }

    #[test]
    fn weights_that_are_fewer_than_they_say_are_refused() {
        let mut weights = TensorProto::f32("w", &[8, 3, 3, 3], &[0.0; 8 * 27]);
        weights.raw_data.truncate(100);
        let bias = TensorProto::f32("b", &[8], &[0.0; 8]);
        let told = refused(
            vec![node("Conv", &["image", "w", "b"], "t1")],
            vec![weights, bias],
        );
        assert!(told.contains("w holds something else"), "{told}");
    }

    /// A convolution that makes a map of 32x32 with 8 channels, called t1, and its constants.
    fn stem() -> (NodeProto, Vec<TensorProto>) {
        let mut convolution = node("Conv", &["image", "w", "b"], "t1");
        convolution.attribute = vec![
            Attribute::from_ints("strides", [2, 2]),
            Attribute::from_ints("pads", [1, 1, 1, 1]),
        ];
        let weights = TensorProto::f32("w", &[8, 3, 3, 3], &[0.0; 8 * 27]);
        let bias = TensorProto::f32("b", &[8], &[0.0; 8]);
        (convolution, vec![weights, bias])
    }

    #[test]
    fn pixels_are_spread_and_listed_only_as_the_detector_does_it() {
        let after = |node: NodeProto| {
            let (convolution, constants) = stem();
            refused(vec![convolution, node], constants)
        };
        let mut spread = node("DepthToSpace", &["t1"], "t2");
        spread.attribute = vec![
            Attribute::from_int("blocksize", 2),
            Attribute::from_string("mode", "DCR"),
        ];
        let told = after(spread);
        assert!(told.contains("8 channels"), "{told}");
        let mut turned = node("Transpose", &["t1"], "t2");
        turned.attribute = vec![Attribute::from_ints("perm", [0, 3, 1, 2])];
        let told = after(turned);
        assert!(told.contains("another kind"), "{told}");
        let told = after(node("Concat", &["t1", "t1"], "t2"));
        assert!(told.contains("t1 has no pixels"), "{told}");
    }

    #[test]
    fn convolutions_of_other_kinds_are_refused() {
        let weights = TensorProto::f32("w", &[8, 3, 7, 7], &[0.0; 8 * 3 * 49]);
        let bias = TensorProto::f32("b", &[8], &[0.0; 8]);
        let mut convolution = node("Conv", &["image", "w", "b"], "t1");
        convolution.attribute = vec![Attribute::from_ints("strides", [2, 2])];
        let told = refused(vec![convolution], vec![weights, bias]);
        assert!(told.contains("another kind"), "{told}");
    }
}
