//! A secret in parts, of which so many together give it back and fewer tell nothing (Shamir, "How to Share a Secret", 1979): for each byte a
//! polynomial over GF(2^8), reduced by x^8 + x^4 + x^3 + x + 1.

use zeroize::Zeroizing;

/// One part.
#[derive(Clone, Eq, PartialEq)]
pub struct Part {
    /// Where the polynomials are evaluated: 1 to 255, another one for each part.
    pub number: u8,
    /// Their values there.
    pub bytes: Zeroizing<[u8; 32]>,
}

impl core::fmt::Debug for Part {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Part({})", self.number)
    }
}

/// Splits a secret into this many parts, of which as many are needed as `random` has rows and one more. The rows are random, and used for nothing
/// else.
#[must_use]
pub fn split(secret: &[u8; 32], parts: u8, random: &[Zeroizing<[u8; 32]>]) -> Vec<Part> {
    let part = |number: u8| {
        let mut bytes = Zeroizing::new([0; 32]);
        // Horner's rule, from the highest coefficient down to the secret.
        for row in random.iter().map(|row| &**row).rev().chain([secret]) {
            bytes.iter_mut().zip(row).for_each(|(value, coefficient)| *value = times(*value, number) ^ coefficient);
        }
        Part { number, bytes }
    };
    (1..=parts).map(part).collect()
}

/// The secret of these parts. Too few of them, or wrong ones, give another one. None: two have one number, or one has none.
#[must_use]
pub fn join(parts: &[Part]) -> Option<Zeroizing<[u8; 32]>> {
    let mut secret = Zeroizing::new([0; 32]);
    for part in parts {
        let mut weight = 1;
        for other in parts.iter().filter(|other| !core::ptr::eq(*other, part)) {
            let apart = other.number ^ part.number;
            if apart == 0 || other.number == 0 || part.number == 0 {
                return None;
            }
            weight = times(weight, times(other.number, inverse(apart)));
        }
        secret.iter_mut().zip(part.bytes.iter()).for_each(|(sum, value)| *sum ^= times(*value, weight));
    }
    (!parts.is_empty()).then_some(secret)
}

/// The product, in as many steps for each pair.
fn times(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & 0_u8.wrapping_sub(b >> bit & 1);
        a = a << 1 ^ 0x1b & 0_u8.wrapping_sub(a >> 7);
    }
    product
}

/// What gives 1 with `a`: its power of 254, which is 2 + 4 + … + 128.
fn inverse(a: u8) -> u8 {
    let (mut power, mut product) = (a, 1);
    for _ in 0..7 {
        power = times(power, power);
        product = times(product, power);
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_but_zero_has_an_inverse() {
        assert!((1..=255).all(|a| times(a, inverse(a)) == 1));
        assert_eq!((times(0x57, 0x83), times(0x57, 0x13)), (0xc1, 0xfe), "FIPS 197, section 4.2");
    }

    #[test]
    fn so_many_parts_give_the_secret_and_fewer_another_one() {
        let secret = core::array::from_fn(|n| u8::try_from(n * 7 % 256).unwrap());
        for needed in 1..=4_u8 {
            let random: Vec<_> = (1..needed).map(|row| Zeroizing::new([row.wrapping_mul(91); 32])).collect();
            let parts = split(&secret, 5, &random);
            for chosen in 0_u8..32 {
                let some: Vec<Part> =
                    parts.iter().filter(|part| chosen >> (part.number - 1) & 1 == 1).cloned().collect();
                let joined = join(&some);
                let enough = some.len() >= usize::from(needed);
                assert_eq!(joined.is_some_and(|joined| *joined == secret), enough, "{needed}: {chosen:b}");
            }
        }
    }

    #[test]
    fn parts_that_are_one_or_none_give_nothing() {
        let parts = split(&[5; 32], 2, &[Zeroizing::new([6; 32])]);
        assert!(join(&[]).is_none());
        assert!(join(&[parts[0].clone(), parts[0].clone()]).is_none());
        assert!(join(&[parts[0].clone(), Part { number: 0, ..parts[1].clone() }]).is_none());
    }
}
