//! Long lists are made on two cores: most of the time goes into opening sealed names, and none waits for another.

use std::thread::Builder;

/// A list with fewer entries is made sooner than a thread.
const FEW: usize = 512;

/// Does `work` for each item; the results are in the order of the items.
pub(crate) fn each<T: Sync, U: Send>(items: &[T], work: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let all = |items: &[T]| items.iter().map(&work).collect::<Vec<U>>();
    if items.len() < FEW {
        return all(items);
    }
    let (front, back) = items.split_at(items.len() / 2);
    std::thread::scope(|scope| {
        let other = Builder::new().name("list".into()).spawn_scoped(scope, || all(back));
        let mut made = all(front);
        made.extend(match other {
            Ok(other) => other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread is to be had.
            Err(_) => all(back),
        });
        made
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_are_in_the_order_of_the_items() {
        for many in [0, 1, super::FEW - 1, super::FEW, 3 * super::FEW + 1] {
            let items: Vec<usize> = (0..many).collect();
            assert_eq!(
                super::each(&items, |item| item * 2),
                (0..many).map(|n| n * 2).collect::<Vec<_>>()
            );
        }
    }
}
