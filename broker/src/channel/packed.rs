//! Rows of similar numbers in few bits. For each column the least number is kept, and for each row its difference to
//! that, in the bits that the largest difference needs. A column of equal numbers takes no bits.

/// Rows of `N` numbers with random access.
#[derive(Debug)]
pub(super) struct Packed<const N: usize> {
    least: [u64; N],
    bits: [u8; N],
    /// Row after row, without gaps.
    words: Box<[u64]>,
}

impl<const N: usize> Packed<N> {
    pub(super) fn new(rows: &[[u64; N]]) -> Self {
        let mut least = [u64::MAX; N];
        let mut most = [0; N];
        for row in rows {
            for column in 0..N {
                least[column] = least[column].min(row[column]);
                most[column] = most[column].max(row[column]);
            }
        }
        let bits = std::array::from_fn(|column| {
            let range: u64 = most[column].saturating_sub(least[column]);
            (u64::BITS - range.leading_zeros()) as u8
        });
        let all = rows.len() * bits_of(bits);
        let mut packed = Self { least, bits, words: vec![0; all.div_ceil(64)].into() };
        let mut at = 0;
        for row in rows {
            for column in 0..N {
                write(&mut packed.words, at, row[column] - least[column]);
                at += usize::from(bits[column]);
            }
        }
        packed
    }

    pub(super) fn row(&self, index: usize) -> [u64; N] {
        let mut at = index * bits_of(self.bits);
        std::array::from_fn(|column| {
            let above = read(&self.words, at, self.bits[column]);
            at += usize::from(self.bits[column]);
            self.least[column] + above
        })
    }
}

fn bits_of<const N: usize>(bits: [u8; N]) -> usize {
    bits.into_iter().map(usize::from).sum()
}

/// Writes a number over zeros, from bit `at` on.
fn write(words: &mut [u64], at: usize, number: u64) {
    if number == 0 {
        return;
    }
    let (word, shift) = (at / 64, at % 64);
    words[word] |= number << shift;
    // The bits that did not fit begin the next word.
    let rest = number.checked_shr(64 - shift as u32).unwrap_or(0);
    if rest != 0 {
        words[word + 1] |= rest;
    }
}

fn read(words: &[u64], at: usize, bits: u8) -> u64 {
    if bits == 0 {
        return 0;
    }
    let (word, shift) = (at / 64, at % 64);
    let mut number = words[word] >> shift;
    if shift + usize::from(bits) > 64 {
        number |= words[word + 1] << (64 - shift);
    }
    number & (u64::MAX >> (64 - bits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers of any size, most of them close together.
    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![4 => 1000..1100_u64, 1 => any::<u64>(), 1 => any::<u32>().prop_map(u64::from), 1 => Just(0)]
    }

    proptest! {
        #[test]
        fn every_packed_row_is_read_back_unchanged(rows in prop::collection::vec(prop::array::uniform3(number()), 0..70)) {
            let packed = Packed::new(&rows);
            for (index, row) in rows.iter().enumerate() {
                prop_assert_eq!(&packed.row(index), row);
            }
        }
    }

    #[test]
    fn numbers_take_the_bits_of_their_differences() {
        let rows: Vec<_> = (0..64).map(|index| [u64::MAX, 1 << 40 | index]).collect();
        assert_eq!(Packed::new(&rows).words.len(), 6, "64 rows of 0 and 6 bits");
    }
}
