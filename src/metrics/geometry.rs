//! Distances and angles between points of any dimension.

/// A point in 3D: world landmarks in metres, or any other unit.
pub(super) type Point3 = [f64; 3];

/// Straight-line distance, in the points' own unit; never negative.
pub fn distance<const N: usize>(a: [f64; N], b: [f64; N]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(p, q)| (p - q) * (p - q)).sum();
    squares.sqrt()
}

/// The point halfway between two.
pub fn midpoint<const N: usize>(a: [f64; N], b: [f64; N]) -> [f64; N] {
    std::array::from_fn(|i| (a[i] + b[i]) / 2.0)
}

/// Angle at `vertex` between the directions to `a` and `b`, in degrees, 0..180; 180 = straight.
///
/// Computed as atan2(|u x v|, u . v), which stays exact near 0 and 180 where the arc cosine does
/// not. `None` when `a` or `b` coincides with the vertex.
pub fn angle_deg(a: Point3, vertex: Point3, b: Point3) -> Option<f64> {
    vector_angle_deg(subtract(a, vertex), subtract(b, vertex))
}

/// Angle between two directions in degrees, 0..180. `None` when one has no length.
pub(super) fn vector_angle_deg(u: Point3, v: Point3) -> Option<f64> {
    let cross = [
        u[1] * v[2] - u[2] * v[1],
        u[2] * v[0] - u[0] * v[2],
        u[0] * v[1] - u[1] * v[0],
    ];
    let dot = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    let has_length = |w: Point3| w.iter().any(|c| *c != 0.0);
    (has_length(u) && has_length(v)).then(|| distance(cross, [0.0; 3]).atan2(dot).to_degrees())
}

/// a - b
pub(super) fn subtract(a: Point3, b: Point3) -> Point3 {
    std::array::from_fn(|i| a[i] - b[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_of_known_triangles() {
        let check = |a, vertex, b, expected: f64| {
            let angle = angle_deg(a, vertex, b).expect("an angle");
            assert!((angle - expected).abs() < 1e-9, "{angle} != {expected}");
        };
        let origin = [0.0; 3];
        check([1.0, 0.0, 0.0], origin, [0.0, 2.0, 0.0], 90.0);
        check([1.0, 0.0, 0.0], origin, [-5.0, 0.0, 0.0], 180.0);
        check([1.0, 1.0, 0.0], origin, [2.0, 2.0, 0.0], 0.0);
        check([1.0, 0.0, 0.0], origin, [0.5, 3f64.sqrt() / 2.0, 0.0], 60.0);
    }

    #[test]
    fn coinciding_points_have_no_angle() {
        assert_eq!(angle_deg([1.0; 3], [1.0; 3], [2.0; 3]), None);
    }
}
