//! Networks computed in the plainest way, to compare with.

use super::graph::{Layer, Network, Operation, Shape, TensorId, Weights};

/// [channels, side, side] of each tensor, in 64 bits.
pub fn tensors(network: &Network, picture: &[f32]) -> Vec<Vec<f64>> {
    let mut made: Vec<Vec<f64>> = vec![Vec::new(); network.tensors.len()];
    let picture: Vec<f64> = picture.iter().map(|v| f64::from(*v)).collect();
    for layer in &network.layers {
        let shape = |tensor: TensorId| network.tensors[tensor];
        let of_picture = Shape {
            side: network.picture_side,
            channels: 3,
        };
        let (input, from) = match layer.input {
            Some(tensor) => (&made[tensor], shape(tensor)),
            None => (&picture, of_picture),
        };
        let to = shape(layer.output);
        let mut values = Vec::new();
        for channel in 0..to.channels {
            for y in 0..to.side {
                for x in 0..to.side {
                    values.push(value(layer, input, from, (channel, y, x)));
                }
            }
        }
        if let Some(residual) = layer.residual {
            for (value, more) in values.iter_mut().zip(&made[residual]) {
                *value += more;
            }
        }
        if let Some([least, most]) = layer.clip {
            for value in &mut values {
                *value = value.clamp(f64::from(least), f64::from(most));
            }
        }
        made[layer.output] = values;
    }
    made
}

fn value(layer: &Layer, input: &[f64], from: Shape, (channel, y, x): (usize, usize, usize)) -> f64 {
    let at = |channel: usize, y: i64, x: i64| {
        let side = from.side as i64;
        let is_within = (0..side).contains(&y) && (0..side).contains(&x) && channel < from.channels;
        match is_within {
            true => input[(channel * from.side + y as usize) * from.side + x as usize],
            false => 0.0,
        }
    };
    let convolution =
        |inputs: std::ops::Range<usize>, kernel: usize, stride: usize, before: usize| {
            let Weights { values, bias, .. } = layer.weights.as_ref().expect("weights");
            let n = inputs.len();
            let mut sum = f64::from(bias[channel]);
            for (i, input) in inputs.enumerate() {
                for ky in 0..kernel {
                    for kx in 0..kernel {
                        let weight = values[((channel * n + i) * kernel + ky) * kernel + kx];
                        let place = |at: usize, k: usize| (at * stride + k) as i64 - before as i64;
                        sum += f64::from(weight) * at(input, place(y, ky), place(x, kx));
                    }
                }
            }
            sum
        };
    match layer.operation {
        Operation::Stem => convolution(0..3, 3, 2, 1),
        Operation::Pointwise => convolution(0..from.channels, 1, 1, 0),
        Operation::Whole => convolution(0..from.channels, 2, 1, 0),
        Operation::Depthwise {
            kernel_side,
            stride,
            zeros_before,
        } => convolution(channel..channel + 1, kernel_side, stride, zeros_before),
        Operation::Identity => at(channel, y as i64, x as i64),
        Operation::MaxPool => {
            let places = [(0, 0), (0, 1), (1, 0), (1, 1)];
            let of = |(dy, dx)| at(channel, (2 * y + dy) as i64, (2 * x + dx) as i64);
            places.map(of).into_iter().fold(f64::NEG_INFINITY, f64::max)
        }
        Operation::DepthToSpace => {
            let quarter = 2 * (y % 2) + x % 2;
            let channels = from.channels / 4;
            at(quarter * channels + channel, (y / 2) as i64, (x / 2) as i64)
        }
        Operation::Upsample => {
            // The middle of a pixel among the smaller map's, of which the outermost go on for ever.
            let along = |at: usize| {
                let middle = (at as f64 + 0.5) / 2.0 - 0.5;
                let clamped = |at: f64| at.clamp(0.0, from.side as f64 - 1.0) as i64;
                let share = middle - middle.floor();
                [
                    (clamped(middle.floor()), 1.0 - share),
                    (clamped(middle.floor() + 1.0), share),
                ]
            };
            let mut sum = 0.0;
            for (y, of_row) in along(y) {
                for (x, of_column) in along(x) {
                    sum += of_row * of_column * at(channel, y, x);
                }
            }
            sum
        }
    }
}
