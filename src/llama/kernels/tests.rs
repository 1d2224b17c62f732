//! Each operation against the same in candle's operations, and its derivative against candle's and
//! against finite differences.

use candle_core::{D, Device, Tensor, Var};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::attention::{Heads, attend, attention_gradients};
use super::elementwise::{
    RotationDirection, Rotations, add_rms_norm_gradient, exp, rms_norm, swiglu, swiglu_gradients,
};
use super::gemm::{Left, add_outer, add_outer_transposed, add_product, product};
use super::panels::Panels;
use super::{gemm_bf16, loss};

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// Panels of random numbers.
fn panels(features: usize, tokens: usize, seed: u64) -> Panels {
    from_rows(&random(features * tokens, seed), features)
}

/// Panels of a row-major matrix, shape [tokens, features].
fn from_rows(rows: &[f32], features: usize) -> Panels {
    let mut panels = Panels::zeros(features, rows.len() / features);
    for (token, row) in rows.chunks_exact(features).enumerate() {
        panels.set_token(token, row);
    }
    panels
}

fn rows(panels: &Panels) -> Vec<f32> {
    let tokens = (0..panels.tokens).map(|token| panels.token(token));
    tokens.collect::<Vec<_>>().concat()
}

/// A variable of candle's, shape [tokens, features].
fn var(panels: &Panels) -> Var {
    let shape = (panels.tokens, panels.features);
    let tensor = Tensor::from_vec(rows(panels), shape, &Device::Cpu).expect("a tensor");
    Var::from_tensor(&tensor).expect("a variable")
}

fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.flatten_all().and_then(|flat| flat.to_vec1());
    flat.expect("numbers")
}

fn assert_near(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let length = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>().sqrt();
    let difference: Vec<f32> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
    let ratio = length(&difference) / length(expected);
    assert!(ratio < tolerance, "{ratio}");
}

/// Checks derivatives of `sum(weights * f(inputs))`: `gradients` are ours, `reference` computes the
/// same with candle, `f` with the kernels.
fn check_gradients(
    inputs: &[Panels],
    weights: &Panels,
    gradients: &[Panels],
    f: impl Fn(&[Panels]) -> Panels,
    reference: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>,
) {
    let vars: Vec<Var> = inputs.iter().map(var).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let out = reference(&tensors).expect("an output");
    assert_near(&rows(&f(inputs)), &values(&out), 1e-5);
    let weighted = out
        .mul(var(weights).as_tensor())
        .and_then(|out| out.sum_all());
    let grads = weighted.and_then(|sum| sum.backward()).expect("gradients");
    let sum_of = |inputs: &[Panels]| -> f64 {
        let (out, weights) = (rows(&f(inputs)), rows(weights));
        let products = out.iter().zip(&weights);
        products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    for (input, (gradient, var)) in gradients.iter().zip(&vars).enumerate() {
        let expected = values(grads.get(var.as_tensor()).expect("a gradient"));
        let found = rows(gradient);
        assert_near(&found, &expected, 1e-4);
        // Along its gradient, a function grows by the gradient's length.
        const STEP: f32 = 1e-2;
        let length = found.iter().map(|g| g * g).sum::<f32>().sqrt();
        let moved = |sign: f32| {
            let mut inputs = inputs.to_vec();
            let features = inputs[input].features;
            let numbers = rows(&inputs[input]);
            let moved = numbers.iter().zip(&found);
            let moved: Vec<f32> = moved.map(|(x, g)| x + sign * STEP * g / length).collect();
            inputs[input] = from_rows(&moved, features);
            sum_of(&inputs)
        };
        let slope = (moved(1.0) - moved(-1.0)) / f64::from(2.0 * STEP);
        let ratio = slope / f64::from(length);
        assert!((ratio - 1.0).abs() < 1e-2, "input {input}: {ratio}");
    }
}

#[test]
fn the_exponential_is_exact_to_two_units_in_the_last_place() {
    for step in -87_000..88_000 {
        let x = step as f32 / 1000.0;
        let exact = f64::from(x).exp();
        let error = (f64::from(exp(x)) - exact).abs() / exact;
        assert!(error < 2.0 * f64::from(f32::EPSILON), "{x}: {error}");
    }
    assert!(exp(-1000.0) < 1e-37 && exp(1000.0).is_finite());
}

#[test]
fn rms_norm_and_its_gradient() {
    for tokens in [1, 40] {
        let x = panels(24, tokens, 1);
        let weight = random(24, 2);
        let weights = panels(24, tokens, 3);
        let (_, inverse) = rms_norm(&x, &weight, 1e-5);
        let mut dx = Panels::zeros(24, tokens);
        add_rms_norm_gradient(&weights, &x, &weight, &inverse, &mut dx);
        check_gradients(
            &[x],
            &weights,
            &[dx],
            |inputs| rms_norm(&inputs[0], &weight, 1e-5).0,
            |inputs| {
                let square = inputs[0].sqr()?.mean_keepdim(D::Minus1)?;
                let normed = inputs[0].broadcast_div(&(square + 1e-5)?.sqrt()?)?;
                normed.broadcast_mul(&Tensor::new(&weight[..], &Device::Cpu)?)
            },
        );
    }
}

#[test]
fn rotary_embeddings_turn_forwards_and_back() {
    let frequencies = [1.0, 0.1, 0.01, 0.001];
    let positions: Vec<usize> = (0..20).chain(0..30).collect();
    let tokens = positions.len();
    let rotations = Rotations::new(&frequencies, &positions);
    let x = panels(16, tokens, 4);
    let weights = panels(16, tokens, 5);
    let mut dx = weights.clone();
    rotations.apply(&mut dx, RotationDirection::Inverse);
    let angles: Vec<f32> = positions
        .iter()
        .flat_map(|position| frequencies.map(|frequency| *position as f32 * frequency))
        .collect();
    check_gradients(
        &[x],
        &weights,
        &[dx],
        |inputs| {
            let mut x = inputs[0].clone();
            rotations.apply(&mut x, RotationDirection::Forward);
            x
        },
        |inputs| {
            let angles = Tensor::from_slice(&angles, (tokens, 4), &Device::Cpu)?;
            let (cos, sin) = (angles.cos()?, angles.sin()?);
            let head = |head: usize| {
                let a = inputs[0].narrow(1, 8 * head, 4)?;
                let b = inputs[0].narrow(1, 8 * head + 4, 4)?;
                let first = ((&a * &cos)? - (&b * &sin)?)?;
                let second = ((&b * &cos)? + (&a * &sin)?)?;
                Tensor::cat(&[first, second], 1)
            };
            Tensor::cat(&[head(0)?, head(1)?], 1)
        },
    );
}

#[test]
fn swiglu_and_its_gradient() {
    let (gate, up) = (panels(7, 45, 6), panels(7, 45, 7));
    let weights = panels(7, 45, 8);
    let (mut d_gate, mut d_up) = (gate.clone(), up.clone());
    swiglu_gradients(&weights, &mut d_gate, &mut d_up);
    check_gradients(
        &[gate, up],
        &weights,
        &[d_gate, d_up],
        |inputs| swiglu(&inputs[0], &inputs[1]),
        |inputs| inputs[0].silu()?.mul(&inputs[1]),
    );
}

#[test]
fn attention_and_its_gradients() {
    let heads = Heads {
        queries: 4,
        keys: 2,
        head_dim: 8,
    };
    let texts = [0..1, 1..34, 34..74];
    let (q, k, v) = (panels(32, 74, 9), panels(16, 74, 10), panels(16, 74, 11));
    let weights = panels(32, 74, 12);
    let attention = attend(&q, &k, &v, &texts, heads);
    let (dq, dk, dv) = attention_gradients(&weights, &attention, &q, &k, &v, &texts, heads);
    check_gradients(
        &[q, k, v],
        &weights,
        &[dq, dk, dv],
        |inputs| attend(&inputs[0], &inputs[1], &inputs[2], &texts, heads).out,
        |inputs| {
            let of_text = |text: &std::ops::Range<usize>| {
                let length = text.len();
                let mask: Vec<f32> = (0..length * length)
                    .map(|place| match place % length > place / length {
                        true => f32::NEG_INFINITY,
                        false => 0.0,
                    })
                    .collect();
                let mask = Tensor::from_vec(mask, (length, length), &Device::Cpu)?;
                let part = |input: &Tensor, head: usize| {
                    let text = input.narrow(0, text.start, length)?;
                    text.narrow(1, 8 * head, 8)?.contiguous()
                };
                let heads: candle_core::Result<Vec<Tensor>> = (0..4)
                    .map(|head| {
                        let (q, k) = (part(&inputs[0], head)?, part(&inputs[1], head / 2)?);
                        let scores = (q.matmul(&k.t()?)? / 8_f64.sqrt())?;
                        let scores = scores.add(&mask)?;
                        let maximum = scores.max_keepdim(1)?.detach();
                        let weights = scores.broadcast_sub(&maximum)?.exp()?;
                        let weights = weights.broadcast_div(&weights.sum_keepdim(1)?)?;
                        weights.matmul(&part(&inputs[2], head / 2)?)
                    })
                    .collect();
                Tensor::cat(&heads?, 1)
            };
            let outs: candle_core::Result<Vec<Tensor>> = texts.iter().map(of_text).collect();
            Tensor::cat(&outs?, 0)
        },
    );
}

#[test]
fn the_loss_and_its_gradient() {
    const VOCAB: usize = 5000;
    let logits = panels(VOCAB, 37, 13);
    let targets: Vec<u32> = (0..37).map(|token| token * 131 % VOCAB as u32).collect();
    let mut gradients = logits.clone();
    let nlls = loss::nlls_and_gradients(&mut gradients, &targets, 0.5);
    assert_eq!(nlls, loss::nlls(&logits, &targets));
    // Lanes without a token are part of no gradient.
    assert!((37..64).all(|token| gradients.token(token) == vec![0.0; VOCAB]));
    let weights = from_rows(&[0.5; 37], 1);
    check_gradients(
        &[logits],
        &weights,
        &[gradients],
        |inputs| from_rows(&loss::nlls(&inputs[0], &targets), 1),
        |inputs| {
            let targets = Tensor::new(&targets[..], &Device::Cpu)?.unsqueeze(1)?;
            let maximum = inputs[0].max_keepdim(1)?.detach();
            let sums = inputs[0].broadcast_sub(&maximum)?.exp()?.sum_keepdim(1)?;
            let log_sums = (sums.log()? + maximum)?;
            log_sums - inputs[0].gather(&targets, 1)?
        },
    );
}

/// The product of a row-major left matrix with panels, the slow way: shape [tokens, rows].
fn slow_product(left: &[f32], rows: usize, right: &Panels) -> Vec<f32> {
    let depth = right.features;
    let products = (0..right.tokens).flat_map(|token| {
        let right = right.token(token);
        (0..rows).map(move |row| {
            let left = left[row * depth..][..depth].iter();
            let products = left.zip(&right);
            products
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>() as f32
        })
    });
    products.collect()
}

fn transposed(matrix: &[f32], rows: usize) -> Vec<f32> {
    let columns = matrix.len() / rows;
    let places = 0..matrix.len();
    let value = |place: usize| matrix[place % rows * columns + place / rows];
    places.map(value).collect()
}

#[test]
fn products_of_all_shapes() {
    // On, below and above the sizes of tiles, panels and blocks.
    for (rows_out, depth, tokens) in [
        (1, 1, 1),
        (12, 32, 32),
        (13, 7, 33),
        (23, 600, 5),
        (100, 1200, 300),
        (5, 2, 64),
        // Deep enough for parts of the depth, and too shallow for all of these.
        (3, 12_000, 40),
        (2, 700, 33),
    ] {
        let matrix = random(rows_out * depth, 14);
        let right = panels(depth, tokens, 15);
        let expected = slow_product(&matrix, rows_out, &right);
        let flipped = transposed(&matrix, rows_out);
        for left in [
            Left::plain(&matrix, rows_out, depth),
            Left::transposed(&flipped, rows_out, depth),
        ] {
            let mut out = product(left, &right);
            assert_near(&rows(&out), &expected, 1e-5);
            add_product(left, &right, &mut out);
            let twice: Vec<f32> = expected.iter().map(|value| 2.0 * value).collect();
            assert_near(&rows(&out), &twice, 1e-5);
        }
        let halves = |values: &[f32]| -> Vec<half::bf16> {
            values.iter().copied().map(half::bf16::from_f32).collect()
        };
        let (matrix, flipped) = (halves(&matrix), halves(&flipped));
        for left in [
            Left::plain(&matrix, rows_out, depth),
            Left::transposed(&flipped, rows_out, depth),
        ] {
            if gemm_bf16::multiplies(left) {
                let mut out = gemm_bf16::product(left, &right);
                assert_near(&rows(&out), &expected, 1e-2);
                gemm_bf16::add_product(left, &right, &mut out);
                let twice: Vec<f32> = expected.iter().map(|value| 2.0 * value).collect();
                assert_near(&rows(&out), &twice, 1e-2);
            }
        }
    }
}

#[test]
fn gradients_of_small_matrices_are_outer_products() {
    for (features, rank, tokens) in [(50, 3, 70), (12, 40, 33), (1, 1, 1)] {
        let (left, right) = (panels(features, tokens, 18), panels(rank, tokens, 19));
        // As a product: the left side's features are rows, tokens the depth.
        let by_tokens = transposed(&rows(&left), tokens);
        let expected = slow_product(
            &by_tokens,
            features,
            &from_rows(&transposed(&rows(&right), tokens), tokens),
        );
        let mut out = vec![0.0; features * rank];
        add_outer(&left, &right, 1.0, &mut out);
        assert_near(&transposed(&out, features), &expected, 1e-5);
        let mut flipped = vec![0.0; features * rank];
        add_outer_transposed(&left, &right, 1.0, &mut flipped);
        assert_eq!(flipped, transposed(&out, features));
        add_outer(&left, &right, -1.0, &mut out);
        assert!(out.iter().all(|sum| *sum == 0.0));
    }
}
