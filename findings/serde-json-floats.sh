#!/usr/bin/env bash
# serde_json reads one number of ten a last bit off, unless its feature `float_roundtrip` is on.
#
# For whoever compares prices or signals in Rust with those of another language to the last bit, or hashes them: JSON
# numbers written with the shortest digits come back as another double.
# Seen on 2026-11-30 with serde_json 1.0.145.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > src/main.rs <<'RUST'
fn main() {
    let (mut wrong, mut first, mut state) = (0, String::new(), 1u64);
    for _ in 0..100_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let text = format!("{}", (state >> 11) as f64 / (1u64 << 53) as f64 * 1000.0);
        let read: f64 = serde_json::from_str(&text).unwrap();
        if read.to_bits() != text.parse::<f64>().unwrap().to_bits() {
            wrong += 1;
            if first.is_empty() { first = text; }
        }
    }
    println!("{} {}", wrong, first);
}
RUST
for features in '[]' '["float_roundtrip"]'; do
    printf '[package]\nname = "floats"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nserde_json = { version = "=1.0.145", features = %s }\n' "$features" > Cargo.toml
    cargo run --quiet --release > out.txt 2> /dev/null
    read -r wrong first < out.txt || true
    echo "serde_json 1.0.145 $features: $wrong of 100000 differ from Rust's own parser ${first:+(first: $first)}"
    if [ "$features" = '[]' ]; then [ "$wrong" -gt 1000 ]; else [ "$wrong" = 0 ]; fi
done
