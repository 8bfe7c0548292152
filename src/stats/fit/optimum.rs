//! The maximum of a smooth function of few variables, and its curvature there.

/// The most variables.
pub(super) const MOST: usize = 4;

/// A point of the first variables; the others stay 0.
pub(super) type Point = [f64; MOST];

/// A symmetric matrix of the first variables.
pub(super) type Square = [[f64; MOST]; MOST];

/// The step of numerical derivatives of a function whose variables are logarithms.
const STEP: f64 = 1e-3;

/// How far a variable may be from 0: e^12 is far beyond all that a trace can tell.
const LIMIT: f64 = 25.0;

/// A maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Optimum {
    pub(super) at: Point,
    pub(super) value: f64,
    /// The negative second derivatives.
    pub(super) curvature: Square,
}

/// Climbs from `start` to a maximum over the first `n` variables, by Newton's method with
/// Levenberg's damping.
pub(super) fn maximum(n: usize, start: Point, f: impl Fn(&Point) -> f64) -> Optimum {
    let (mut at, mut value, mut damping) = (start, f(&start), 1e-3);
    let mut curvature = [[0.0; MOST]; MOST];
    for _ in 0..60 {
        let gradient;
        (gradient, curvature) = derivatives(n, &at, value, &f);
        let before = value;
        for _ in 0..12 {
            let mut damped = curvature;
            for (i, row) in damped.iter_mut().enumerate().take(n) {
                row[i] += damping * (1.0 + row[i].abs());
            }
            let step =
                solve(n, &damped, &gradient).filter(|step| step.iter().all(|x| x.is_finite()));
            damping *= 8.0;
            let Some(step) = step else { continue };
            let longest = step.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
            let scale = (2.0 / longest).min(1.0);
            let mut next = at;
            for (x, dx) in next.iter_mut().zip(step) {
                *x = (*x + scale * dx).clamp(-LIMIT, LIMIT);
            }
            let found = f(&next);
            if found > value {
                (at, value) = (next, found);
                damping /= 80.0;
                break;
            }
        }
        // Far less than intervals and criteria can tell.
        if value - before < 1e-4 {
            break;
        }
    }
    Optimum { at, value, curvature }
}

/// Returns the gradient and the negative second derivatives, by differences.
fn derivatives(n: usize, at: &Point, value: f64, f: impl Fn(&Point) -> f64) -> (Point, Square) {
    let moved = |changes: &[(usize, f64)]| {
        let mut point = *at;
        for (i, by) in changes {
            point[*i] += by;
        }
        f(&point)
    };
    let (mut gradient, mut curvature) = ([0.0; MOST], [[0.0; MOST]; MOST]);
    let mut sides = [[0.0; 2]; MOST];
    for i in 0..n {
        sides[i] = [moved(&[(i, STEP)]), moved(&[(i, -STEP)])];
        gradient[i] = (sides[i][0] - sides[i][1]) / (2.0 * STEP);
        curvature[i][i] = (2.0 * value - sides[i][0] - sides[i][1]) / (STEP * STEP);
    }
    for i in 0..n {
        for j in 0..i {
            let same = moved(&[(i, STEP), (j, STEP)]) + moved(&[(i, -STEP), (j, -STEP)]);
            let single: f64 = sides[i].iter().chain(&sides[j]).sum();
            let mixed = (same - single + 2.0 * value) / (2.0 * STEP * STEP);
            (curvature[i][j], curvature[j][i]) = (-mixed, -mixed);
        }
    }
    (gradient, curvature)
}

/// Solves a linear system whose matrix is positive definite, by Cholesky's method.
fn solve(n: usize, matrix: &Square, right: &Point) -> Option<Point> {
    let mut lower = [[0.0; MOST]; MOST];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            let rest = matrix[i][j] - sum;
            if i > j {
                lower[i][j] = rest / lower[j][j];
            } else if rest > 0.0 {
                lower[i][i] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    let mut x = [0.0; MOST];
    for i in 0..n {
        let sum: f64 = (0..i).map(|k| lower[i][k] * x[k]).sum();
        x[i] = (right[i] - sum) / lower[i][i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| lower[k][i] * x[k]).sum();
        x[i] = (x[i] - sum) / lower[i][i];
    }
    Some(x)
}

impl Optimum {
    /// Returns the variance of a function of the first `n` variables (the delta method), if the
    /// maximum is one.
    pub(super) fn variance(&self, n: usize, g: impl Fn(&Point) -> f64) -> Option<f64> {
        let mut gradient = [0.0; MOST];
        for (i, slope) in gradient.iter_mut().enumerate().take(n) {
            let side = |by| {
                let mut point = self.at;
                point[i] += by;
                g(&point)
            };
            *slope = (side(STEP) - side(-STEP)) / (2.0 * STEP);
        }
        let weighted = solve(n, &self.curvature, &gradient)?;
        let variance: f64 = gradient.iter().zip(weighted).map(|(a, b)| a * b).sum();
        (variance.is_finite() && variance >= 0.0).then_some(variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valley_is_followed_to_its_end() {
        // Rosenbrock 1960, upside down.
        let f = |x: &Point| -(100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2));
        let found = maximum(2, [-1.2, 1.0, 0.0, 0.0], f);
        assert!((found.at[0] - 1.0).abs() < 1e-2 && found.value > -1e-4, "{found:?}");
    }

    #[test]
    fn the_curvature_of_a_normal_density_is_its_covariance() {
        // The inverse of [[2, 1], [1, 1]] is [[1, -1], [-1, 2]].
        let f = |x: &Point| -0.5 * (2.0 * x[0] * x[0] + 2.0 * x[0] * x[1] + x[1] * x[1]);
        let found = maximum(2, [0.3, -0.4, 0.0, 0.0], f);
        for (g, expected) in [([1.0, 0.0], 1.0), ([0.0, 1.0], 2.0), ([1.0, 1.0], 1.0)] {
            let variance = found.variance(2, |x| g[0] * x[0] + g[1] * x[1]).unwrap();
            assert!((variance - expected).abs() < 1e-4, "{variance} for {expected}");
        }
    }
}
