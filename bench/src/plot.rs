//! A plot as SVG: a few lines over logarithmic axes, readable on light and dark ground.

use std::fmt::Write;

/// A line of the plot.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is called.
    pub name: &'static str,
    /// Its points, each above zero.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Room for the words around the field.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Told apart also by whoever sees no red or green (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7"];

/// Whole powers of ten around all of these.
fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let logs = values.filter(|value| *value > 0.0).map(f64::log10);
    let (low, high) =
        logs.fold((f64::MAX, f64::MIN), |(low, high), log| (low.min(log), high.max(log)));
    if low > high {
        return (0, 1);
    }
    let (low, high) = (low.floor() as i32, high.ceil() as i32);
    (low, high.max(low + 1))
}

/// A power of ten as people write it.
fn power(exponent: i32) -> String {
    match exponent {
        6.. => format!("{} M", 10_i64.pow(exponent.unsigned_abs() - 6)),
        3..6 => format!("{} k", 10_i64.pow(exponent.unsigned_abs() - 3)),
        0..3 => 10_i64.pow(exponent.unsigned_abs()).to_string(),
        _ => format!("{:.*}", exponent.unsigned_abs() as usize, 10_f64.powi(exponent)),
    }
}

/// The plot. Points that are not above zero have no place on logarithmic axes and are left out.
#[must_use]
pub fn svg(title: &str, across: &str, up: &str, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let (x, y) = (decades(all().map(|point| point.0)), decades(all().map(|point| point.1)));
    let share = |value: f64, (low, high): (i32, i32)| {
        (value.log10() - f64::from(low)) / f64::from(high - low)
    };
    let to_x = |value| LEFT + share(value, x) * (WIDTH - LEFT - RIGHT);
    let to_y = |value| HEIGHT - BOTTOM - share(value, y) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>{title}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <g fill=\"#333\"><text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n"
    );
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for exponent in x.0..=x.1 {
        let (at, name) = (to_x(10_f64.powi(exponent)), power(exponent));
        let _ = writeln!(
            out,
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
            bottom + 18.0
        );
    }
    for exponent in y.0..=y.1 {
        let (at, name) = (to_y(10_f64.powi(exponent)), power(exponent));
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>\
         <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{up}</text></g>",
        (LEFT + right) / 2.0,
        HEIGHT - 10.0,
        (TOP + bottom) / 2.0
    );
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points = line.points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0);
        let points: Vec<(f64, f64)> = points.map(|(x, y)| (to_x(*x), to_y(*y))).collect();
        let Some((last_x, last_y)) = points.last() else { continue };
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            out,
            "<g fill=\"{colour}\"><polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (x, y) in &points {
            let _ = write!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>");
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            last_x + 9.0,
            last_y + 4.0,
            line.name
        );
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_times_as_much_is_as_far_everywhere() {
        let points = vec![(1e4, 1.0), (1e5, 10.0), (1e6, 100.0)];
        let drawn = svg("t", "x", "y", &[Line { name: "a", points }]);
        let line = drawn.lines().find(|line| line.contains("<polyline")).unwrap_or_default();
        let path = line.split('"').nth(3).unwrap_or_default();
        let numbers: Vec<f64> = path.split([' ', ',']).filter_map(|n| n.parse().ok()).collect();
        let [x1, y1, x2, y2, x3, y3] = numbers[..] else { panic!("{path}") };
        assert!((x2 - x1 - (x3 - x2)).abs() < 0.2 && x2 > x1, "{path}");
        assert!((y1 - y2 - (y2 - y3)).abs() < 0.2 && y2 < y1, "{path}");
    }

    #[test]
    fn what_has_no_place_on_the_axes_is_left_out() {
        let points = vec![(0.0, 1.0), (1e5, 0.0), (1e6, 2.0)];
        let drawn = svg("t", "x", "y", &[Line { name: "a", points }]);
        assert_eq!(drawn.matches("<circle").count(), 1);
        assert!(!drawn.contains("inf") && !drawn.contains("NaN"));
    }

    #[test]
    fn powers_are_written_as_people_read_them() {
        let written: Vec<String> = [-2, 0, 2, 4, 6, 7].map(power).into();
        assert_eq!(written, ["0.01", "1", "100", "10 k", "1 M", "10 M"]);
    }
}
