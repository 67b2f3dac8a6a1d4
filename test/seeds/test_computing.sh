#!/bin/sh
# The examples that compute: integrate, mandelbrot, hashcrack and genetic. Their results against what is known, the same
# with one worker and with four, when workers are killed, and with wrong options. Those that were not built for want of
# a library are left out.
set -u

work=$(mktemp -d)
helper=
trap '[ -z "$helper" ] || kill "$helper"; rm -rf "$work"' EXIT
failures=0

fail() {
    echo "$*"
    tail -n 7 "$work/output"
    head -n 7 "$work/errors"
    failures=$((failures + 1))
}

# Run an example: want STATUS PROGRAM ARGUMENT...
want() {
    expected_status=$1
    shift
    program=$1
    shift
    status=0
    timeout 100 "$EXAMPLES/$program" "$@" >"$work/output" 2>"$work/errors" || status=$?
    [ "$status" -eq "$expected_status" ] || fail "$program $*: exit status $status, not $expected_status"
}

has() {
    grep -q -e "$2" "$work/$1" || fail "there is no \"$2\" in the $1 of $program"
}

# What of the output does not depend on the time.
results() {
    grep -v -e '^time' -e '^drawn' -e '^written' -e '^tried' "$work/output"
}

# The number after a word in the output is at least and at most so much: within WORD LEAST MOST.
within() {
    awk -v word="$1" -v least="$2" -v most="$3" '
        $1 == word { found = 1; if ($2 + 0 < least + 0 || $2 + 0 > most + 0) exit 1 }
        END { if (!found) exit 1 }
    ' "$work/output" || fail "$program: the $1 is not from $2 to $3"
}

# One worker and four have the same results: same PROGRAM ARGUMENT...
same() {
    want 0 "$@" --workers 4
    results >"$work/four"
    want 0 "$@" --workers 1
    results | cmp -s - "$work/four" || fail "$*: four workers have another result"
    [ -s "$work/errors" ] && fail "$*: something is on stderr, which is no terminal"
}

# Help, and what each of them refuses: refuses PROGRAM ARGUMENT, of which more would be wrong.
refuses() {
    want 0 "$1" --help
    has output "^usage: $1 "
    want 2 "$1" --unknown "$2"
    has errors "^usage: $1 "
    want 2 "$1" "$2" and another
    has errors "^usage: $1 "
    want 2 "$1" --workers 0 "$2"
    has errors "workers needs a whole number from 1 to 1024, not '0'; see --help"
    want 2 "$1" --workers many "$2"
    has errors "'many'"
}

# ---- integrate ----

within_a_billionth() {
    same integrate "$1"
    within value "$2" "$3"
    within error 0 1e-9
}
within_a_billionth root 1.999999999 2.000000001
within_a_billionth peak 3.141587890 3.141587893
within_a_billionth power 0.783430510 0.783430511
same integrate chirp --from 1e-5
within value 0.841470984 0.841470986
has output 'rounds: [2-9]'
same integrate root --from 1 --to 4 --tolerance 1e-12
within value 1.999999999999 2.000000000001
has output '^exact  *2, which is '
want 3 integrate root --tolerance 1e-14
want 1 integrate root --from -1
has errors 'not finite between -1 and '
refuses integrate root
want 2 integrate
has errors '^usage: '
want 2 integrate sine
has errors "no function 'sine'"
want 2 integrate root --from 2 --to 1
has errors 'nothing from 2 to 1'
want 2 integrate root --tolerance 0
has errors "tolerance needs a number from 1e-15 to 1, not '0'"
want 2 integrate root --from nan
has errors "'nan'"

# ---- mandelbrot ----

if [ -x "$EXAMPLES/mandelbrot" ]; then
    # Size and some pixels of a PNG: show FILE X Y...
    "${CC:-cc}" -x c -o "$work/show" - -lpng <<'END' || fail "a program with libpng cannot be built"
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&image, argv[1]))
        return 1;
    image.format = PNG_FORMAT_RGB;
    unsigned char *pixels = malloc(PNG_IMAGE_SIZE(image));
    if (!pixels || !png_image_finish_read(&image, NULL, pixels, 0, NULL))
        return 1;
    printf("%u x %u", image.width, image.height);
    for (int i = 2; i + 1 < argc; i += 2) {
        const unsigned char *pixel = pixels + 3 * (atoi(argv[i + 1]) * (int)image.width + atoi(argv[i]));
        printf(" %02x%02x%02x", pixel[0], pixel[1], pixel[2]);
    }
    puts("");
    free(pixels);
    return 0;
}
END
    picture=$work/picture.png
    same mandelbrot --width 121 --height 91 "$picture"
    cp "$picture" "$work/one.png"
    want 0 mandelbrot --width 121 --height 91 --workers 4 "$picture"
    cmp -s "$picture" "$work/one.png" || fail "four workers draw another picture"
    [ "$(od -An -tx1 -N 8 "$picture")" = ' 89 50 4e 47 0d 0a 1a 0a' ] || fail "the picture has no PNG's signature"

    # Black in the heart and in the disc; above and below it, the same colour; and another one in the corner.
    shown=$("$work/show" "$picture" 79 45 47 45 60 10 60 80 0 0)
    above=$(echo "$shown" | cut -d ' ' -f 6)
    corner=$(echo "$shown" | cut -d ' ' -f 8)
    if [ "$shown" != "121 x 91 000000 000000 $above $above $corner" ] || [ "$above" = 000000 ] ||
        [ "$corner" = 000000 ] || [ "$corner" = "$above" ]; then
        fail "the picture shows $shown"
    fi
    # One pixel, around one point: outside, and inside.
    want 0 mandelbrot --width 1 --height 1 --x 3 "$picture"
    [ "$("$work/show" "$picture" 0 0)" != '1 x 1 000000' ] || fail "a point outside is black"
    want 0 mandelbrot --width 1 --height 1 --x -1 --zoom 1e13 "$picture"
    [ "$("$work/show" "$picture" 0 0)" = '1 x 1 000000' ] || fail "a point inside is not black"
    # Rows that would take hours.
    want 3 mandelbrot --width 64 --height 7 --x 0 --zoom 1e6 --iterations 100000000 --seconds 0.2 "$picture"
    has output 'rows left out: 7$'
    want 1 mandelbrot --width 9 --height 9 "$work/missing/picture.png"
    has errors 'missing/picture.png: No such file'
    refuses mandelbrot "$picture"
    want 2 mandelbrot
    has errors '^usage: '
    want 2 mandelbrot --zoom 0 "$picture"
    has errors 'zoom needs a number from 0.1 to 1e+13'
fi

# ---- hashcrack ----

if [ -x "$EXAMPLES/hashcrack" ]; then
    for word in a 9 z9 mp3 b07a; do
        want 0 hashcrack --make $word
        sum=$(cat "$work/output")
        [ "$sum" = "$(printf %s $word | sha256sum | cut -d ' ' -f 1)" ] || fail "that is not the hash of $word"
        same hashcrack "$sum"
        has output "^word   $word\$"
    done
    want 0 hashcrack --length 4 "$(echo "$sum" | tr a-f A-F)"
    has output '^word   b07a$'
    want 3 hashcrack --length 3 "$sum"
    has output '^word   none of up to 3 letters and digits$'
    has output '^tried  47988 of 47988 words$'
    want 2 hashcrack
    has errors '^usage: '
    want 2 hashcrack "${sum}00"
    has errors 'a hash has 64 hexadecimal digits'
    want 2 hashcrack "${sum%?}x"
    has errors 'a hash has 64 hexadecimal digits'
    want 2 hashcrack --length 9 "$sum"
    has errors 'from 1 to 8'
    refuses hashcrack "$sum"
fi

# ---- genetic ----

same genetic --circle 40 --epochs 2 --generations 20
within length 6.2767 6.2768 # 80 sin(pi / 40)
same genetic --grid 6 --epochs 6 --generations 50
within length 36 36.36
has output '^shortest  *36.000000, the tour is 0'
same genetic --cities 60 --seed 7 --epochs 3 --generations 20 --islands 3
results >"$work/seven"
want 0 genetic --cities 60 --seed 8 --epochs 3 --generations 20 --islands 3
results | cmp -s - "$work/seven" && fail "another seed makes the same tour"

# A square, drawn. The shortest tour of five cities goes around, and to the fifth between the two next to it.
printf '0 0\n3 3\n0 3\n3 0\n1.5 0.5\n' >"$work/cities"
want 0 genetic --islands 1 --epochs 1 --svg "$work/tour.svg" "$work/cities"
within length 12.1622 12.1623
[ "$(grep -c '<circle ' "$work/tour.svg")" -eq 5 ] || fail "not each city is drawn"
case $(cat "$work/tour.svg") in
'<svg xmlns='*'</svg>') ;;
*) fail "the picture is no SVG" ;;
esac
printf '2 2\n2 2\n2 2\n2 2\n' >"$work/cities"
want 0 genetic --epochs 1 --svg "$work/tour.svg" "$work/cities"
within length 0 0
grep -q nan "$work/tour.svg" && fail "cities that are all at one place are drawn nowhere"

printf '1 2\nthree four\n' >"$work/cities"
want 2 genetic "$work/cities"
has errors 'line 2 should be two numbers'
printf '1 2\n3 4\n' >"$work/cities"
want 2 genetic "$work/cities"
has errors 'fewer than 4 cities'
want 2 genetic "$work/missing"
has errors 'missing: No such file'
want 2 genetic --circle 10 "$work/cities"
has errors '^usage: '
want 2 genetic --circle 3
has errors "from 4 to 2000, not '3'"
want 1 genetic --circle 10 --epochs 1 --svg "$work/missing/tour.svg"
has errors 'missing/tour.svg: No such file'
refuses genetic "$work/cities"

# ---- workers that are killed ----

# The processes that a process has started.
children() {
    cat "/proc/$1/task/$1/children" 2>"$work/ignored"
}

# Kill three workers, one after another: the tour is the same.
want 0 genetic --cities 150 --epochs 6 --workers 2
results >"$work/unharmed"
"$EXAMPLES/genetic" --cities 150 --epochs 6 --workers 2 >"$work/output" 2>"$work/errors" &
helper=$!
killed=0
while [ $killed -lt 3 ] && kill -0 $helper 2>"$work/ignored"; do
    for server in $(children $helper); do
        for worker in $(children "$server"); do
            kill -KILL "$worker" 2>"$work/ignored" && killed=$((killed + 1))
            break
        done
    done
done
status=0
wait $helper || status=$?
helper=
[ $status -eq 0 ] || fail "genetic with killed workers: exit status $status"
[ $killed -gt 0 ] || fail "no worker was found to kill"
results | cmp -s - "$work/unharmed" || fail "with killed workers the tour is another"

[ $failures -eq 0 ]
