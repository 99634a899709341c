//! The little sound a built-in phone needs: a tone as PCMU in RTP, and an ear that tells the frequency of a tone.

use std::f32::consts::TAU;

/// Samples per second of PCMU (RFC 3551).
const RATE: f32 = 8000.0;
/// Samples in one packet: 20 ms.
pub(super) const FRAME: usize = 160;
/// Samples the ear looks at: 100 ms, which tells tones 10 Hz apart.
const WINDOW: usize = 800;

/// A tone on its way out.
pub(super) struct Tone {
    step: f32,
    phase: f32,
    sequence: u16,
    timestamp: u32,
    source: u32,
}

impl Tone {
    pub fn new(hertz: u32, source: u32) -> Self {
        Self { step: TAU * hertz as f32 / RATE, phase: 0.0, sequence: 0, timestamp: 0, source }
    }

    /// The next RTP packet (RFC 3550 §5.1), payload type 0.
    pub fn packet(&mut self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(12 + FRAME);
        packet.extend_from_slice(&[0x80, 0]);
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&self.timestamp.to_be_bytes());
        packet.extend_from_slice(&self.source.to_be_bytes());
        for _ in 0..FRAME {
            packet.push(encode((self.phase.sin() * 8000.0) as i16));
            self.phase = (self.phase + self.step) % TAU;
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        packet
    }
}

/// What was heard last.
#[derive(Default)]
pub(super) struct Ear {
    samples: Vec<f32>,
}

impl Ear {
    /// Takes an RTP packet; gives the frequency of every full window, 0 for silence or noise.
    pub fn hear(&mut self, packet: &[u8]) -> Option<u32> {
        let (head, payload) = packet.split_at_checked(12)?;
        if head.first()? >> 6 != 2 || head.get(1)? & 0x7f != 0 {
            return None;
        }
        self.samples.extend(payload.iter().map(|byte| f32::from(decode(*byte))));
        if self.samples.len() < WINDOW {
            return None;
        }
        let heard = self.samples.get(..WINDOW).map(frequency);
        self.samples.clear();
        heard
    }
}

/// The strongest frequency between 200 and 3400 Hz, in steps of 10, if it stands out; by Goertzel's filter.
fn frequency(samples: &[f32]) -> u32 {
    let energy: f32 = samples.iter().map(|sample| sample * sample).sum();
    let mut best = (0.0_f32, 0);
    for hertz in (200..=3400).step_by(10) {
        let turn = 2.0 * (TAU * hertz as f32 / RATE).cos();
        let (mut one, mut two) = (0.0_f32, 0.0_f32);
        for sample in samples {
            (one, two) = (sample + turn * one - two, one);
        }
        let power = one * one + two * two - turn * one * two;
        if power > best.0 {
            best = (power, hertz);
        }
    }
    // A pure tone has all its energy in one place: power = energy · n / 2.
    let pure = energy * samples.len() as f32 / 2.0;
    if energy > 1e6 && best.0 > pure * 0.5 { best.1 } else { 0 }
}

/// G.711 µ-law.
fn encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs().min(32_635) + 132) as u32;
    let exponent = 24 - magnitude.leading_zeros().min(24);
    let exponent = exponent.min(7);
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | ((exponent << 4) | mantissa) as u8)
}

fn decode(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = ((i32::from(byte & 0x0f) << 3) + 132) << (byte >> 4 & 7);
    let sample = magnitude - 132;
    (if byte & 0x80 == 0 { sample } else { -sample }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_goes_there_and_back() {
        for sample in [0_i16, 1, -1, 100, -100, 1000, -5000, 20_000, -32_000, 32_767, -32_768] {
            let back = decode(encode(sample));
            let error = (i32::from(back) - i32::from(sample)).abs();
            assert!(error <= i32::from(sample).abs() / 16 + 140, "{sample} {back}");
        }
    }

    #[test]
    fn an_ear_tells_tones_apart_and_hears_nothing_in_silence() {
        for hertz in [440, 880, 1320] {
            let (mut tone, mut ear) = (Tone::new(hertz, 1), Ear::default());
            let heard: Vec<u32> = (0..20).filter_map(|_| ear.hear(&tone.packet())).collect();
            assert_eq!(heard, [hertz; 4]);
        }
        let mut ear = Ear::default();
        let silence = [&[0x80, 0][..], &[0; 10], &[0xff; FRAME]].concat();
        let heard: Vec<u32> = (0..5).filter_map(|_| ear.hear(&silence)).collect();
        assert_eq!(heard, [0]);
    }
}
