//! Figures in the OpenMetrics text form that Prometheus reads.

use crate::Figure;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// All figures as text.
pub fn exposition(figures: &[Figure]) -> String {
    let mut registry = Registry::with_prefix("switchbook");
    registry.register_collector(Box::new(Snapshot(figures.to_vec())));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Snapshot(Vec<Figure>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for figure in &self.0 {
            if figure.counter {
                let counter = ConstCounter::new(figure.value);
                let kind = counter.metric_type();
                let metric = encoder.encode_descriptor(figure.name, figure.help, None, kind)?;
                counter.encode(metric)?;
            } else {
                let gauge = ConstGauge::new(i64::try_from(figure.value).unwrap_or(i64::MAX));
                let kind = gauge.metric_type();
                let metric = encoder.encode_descriptor(figure.name, figure.help, None, kind)?;
                gauge.encode(metric)?;
            }
        }
        Ok(())
    }
}
