#!/bin/bash
# Takes the book's safeguards out one by one, in a copy of the sources, and expects a test to fail for each. A mutant that
# no test notices ends this with an error, and so does one whose place in the sources is gone. Only `core` and `journal`
# are compiled.
#
#   tests/mutants/run.sh            all of them
#   tests/mutants/run.sh checksum   those whose name has this word
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/mutants RUST_BACKTRACE=0 SWITCHBOOK_TRACES=2

fresh() {
	rm -rf "$copy/core" "$copy/journal"
	cp -r core journal "$copy/"
	cp Cargo.lock "$copy/"
	# The same workspace without its other rooms, so that these need not be there.
	awk '/^\[/{skip = !/^\[(workspace|profile)/} !skip' Cargo.toml |
		sed 's/^members = .*/members = ["core", "journal"]/' > "$copy/Cargo.toml"
}
tested() { # TEST [NAME]
	(cd "$copy" && cargo test --offline --quiet -p switchbook-journal $([ "$1" = lib ] && echo --lib || echo --test "$1") -- ${2:-} < /dev/null) > "$copy/log" 2>&1
}

seen=0
mutant() { # NAME FILE PERL-SUBSTITUTION TEST [TEST-NAME]
	case $1 in *"$wanted"*) ;; *) return 0 ;; esac
	cp "$copy/$2" "$copy/kept"
	perl -0pi -e "$3" "$copy/$2"
	if cmp -s "$copy/kept" "$copy/$2"; then
		echo "mutant '$1': its place in $2 is gone; mend tests/mutants/run.sh" >&2
		exit 1
	fi
	if tested "$4" "${5:-}"; then
		echo "mutant '$1' was not noticed by $4 ${5:-}" >&2
		exit 1
	fi
	if ! grep -qE '^test result: FAILED|panicked at' "$copy/log"; then
		cat "$copy/log" >&2
		echo "mutant '$1' does not compile; mend tests/mutants/run.sh" >&2
		exit 1
	fi
	printf '  %-44s noticed by %s\n' "$1" "$4 ${5:-}"
	cp "$copy/kept" "$copy/$2"
	seen=$((seen + 1))
}

wanted=${1:-}
fresh
began=$(date +%s)
for sound in traces flips faults lib; do
	tested "$sound" || { cat "$copy/log" >&2; echo "without any mutant $sound fails" >&2; exit 1; }
done

segment=journal/src/book/writer.rs
mutant "fdatasync of the segment" $segment \
	's/\.and_then\(\|\(\)\| self\.file\.sync\(\)\);\s+written\.map_err/;written.map_err/' traces
mutant "vault before the event" $segment \
	's/self\.shared\.vault\.flush\(\)\.map_err\(\|error\| \{.*?\}\)\?;//s' traces
mutant "fdatasync of the vault" journal/src/vault/file.rs \
	's/let written = self\.file\.write_at\(&bytes, self\.end\)\.and_then\(\|\(\)\| self\.file\.sync\(\)\);/let written = self.file.write_at(&bytes, self.end);/' traces
mutant "fdatasync of the leases" journal/src/leases.rs \
	's/file\.write_at\(&bytes, at\)\.and_then\(\|\(\)\| file\.sync\(\)\)/file.write_at(&bytes, at)/' traces
mutant "fdatasync of a file made anew" journal/src/files.rs \
	's/file\.write_at\(bytes, 0\)\?;\n    file\.sync\(\)\?;/file.write_at(bytes, 0)?;/' traces
mutant "folder fsync" journal/src/files.rs \
	's/&folder\.join\(name\)\)\?;\n    files\.sync_folder\(folder\)\n/&folder.join(name))\n/' traces
mutant "checksum" journal/src/frame.rs \
	's/if checksum\(length_word, leaf, body\) != /if false && checksum(length_word, leaf, body) != /' flips any_flipped_byte_of_any_segment
mutant "leaf hash" journal/src/frame.rs \
	's/if leaf_hash\(body\) != \*leaf \{/if false {/' flips a_record_changed_with_its_checksum
mutant "checksum of the vault" journal/src/vault/file.rs \
	's/if crc32c::crc32c_append\(crc32c::crc32c\(&bytes\[\.\.4\]\), body\) != sum \{/if false \&\& sum > 0 {/' flips any_flipped_byte_of_the_vault
mutant "checksum of the leases" journal/src/leases.rs \
	's/\(sum == crc32c::crc32c\(&entry\[\.\.ENTRY - 4\]\)\)/(sum > 0 || true)/' flips any_flipped_byte_of_the_leases
mutant "checksum of the watermark" journal/src/segment/watermark.rs \
	's/if sum != crc32c::crc32c\(&slot\[\.\.SLOT - 4\]\) \{/if sum == 0 {/' lib watermark
mutant "commit marker, when read" journal/src/book/open.rs \
	's/if outline\.last_of_commit \{/if true {/' traces
# A commit must be torn between its records for this one, which chance does not do in every run.
SWITCHBOOK_TRACES=10 mutant "commit marker, when written" $segment \
	's/self\.encode_one\(writer, record, index \+ 1 == count\)/self.encode_one(writer, record, index < count)/' traces
mutant "watermark, when written" $segment \
	's/if let Err\(error\) = self\.shared\.watermark\.put\(&self\.mark\(false\)\) \{/if let Err(error) = Ok::<(), io::Error>(()) {/' flips after_a_crash
mutant "watermark, when read" journal/src/book/open.rs \
	's/let marked = mark\.map_or\(Position::START, \|mark\| mark\.position\);/let marked = Position::START;/' faults below_the_watermark
mutant "watermark, when made durable" journal/src/book/keeper.rs \
	's/self\.shared\.watermark\.sync\(\)/Ok::<(), std::io::Error>(())/' flips a_beat_later
mutant "a second for leases after a crash" journal/src/leases.rs \
	's/if !clean \{/if false {/' lib an_unclean_stop_adds
mutant "void bytes stay void" journal/src/book/open.rs \
	's/if clean \{\n            return/if true {\n            return/' faults bytes_behind
printf '%d mutants, every one noticed, in %d s\n' "$seen" $(($(date +%s) - began))
