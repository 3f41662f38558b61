//! Changes well-formed input a little, as a stranger or a broken proxy would.

/// Pieces that mean something to a parser.
const PIECES: [&[u8]; 26] = [
    b"",
    b"\n",
    b"\r\n",
    b"\0",
    b".",
    b"..",
    b",",
    b", ",
    b"=",
    b"==",
    b":",
    b" ",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"null",
    b"-1",
    b"1e9",
    b"9223372036854775808",
    b"\xff",
    b"\xef\xbb\xbf",
    b"t=1,v1=",
    b"v1a,",
    b"sha1=",
    b"\\ud800",
];

/// Changes to one input.
const CHANGES_MAX: u64 = 4;

/// Draws input from seeds; the same in every run.
pub(crate) struct Mutator {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

impl Mutator {
    pub(crate) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self { seeds, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// The next input.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut data = self.seed();
        for _ in 0..=self.below(CHANGES_MAX) {
            self.change(&mut data);
        }
        data
    }

    fn seed(&mut self) -> Vec<u8> {
        let which = self.place(self.seeds.len());
        self.seeds.get(which).cloned().unwrap_or_default()
    }

    fn change(&mut self, data: &mut Vec<u8>) {
        let (from, to) = (self.place(data.len() + 1), self.place(data.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        match self.below(8) {
            0 => data.truncate(to),
            1 => drop(data.drain(from..to)),
            2 => {
                let copy = data.get(from..to).unwrap_or_default().to_vec();
                data.splice(from..from, copy);
            }
            3 => {
                let other = self.seed();
                data.splice(from..to, other.into_iter().skip(from));
            }
            4 => {
                let bit = self.below(8);
                data.iter_mut().skip(from).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            5 => data.iter_mut().skip(from).take(1).for_each(u8::make_ascii_uppercase),
            _ => {
                let piece = PIECES.get(self.place(PIECES.len())).copied().unwrap_or_default();
                let end =
                    if self.below(2) == 0 { from } else { (from + piece.len()).min(data.len()) };
                data.splice(from..end, piece.iter().copied());
            }
        }
    }

    fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap_or(1).max(1))).unwrap_or(0)
    }

    /// A number below `bound` (xorshift64*).
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}
