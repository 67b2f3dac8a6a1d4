#!/bin/bash
# Public structs keep their sizes, and those that may grow have reserved words. Compares the structs of all headers with
# sizes.txt; --write renews that file, which a reviewer sees.
set -eu
cd "$(dirname "$0")/../.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The name of each struct that a header defines, and whether it has a member reserved.
structs()
{
    cat include/mproc/*.h | sed 's|/\*.*\*/||' | awk '
        /^#ifdef __cplusplus/ { other = 1 } # C has it too, of the same size
        /^#(else|endif)/ { other = 0 }
        other { next }
        /^(typedef )?struct mproc_[a-z_]+ \{/ { inside = 1; reserved = "-" }
        inside && / reserved\[[0-9]+\];/ { reserved = "reserved" }
        inside && /^\}/ {
            name = $0
            gsub(/^\} *(__attribute__\(\(.*\)\))? */, "", name)
            sub(/;.*/, "", name)
            if (name == "") name = "struct " tag
            print name "\t" reserved
            inside = 0
        }
        /^struct mproc_[a-z_]+ \{/ { tag = $2 }' | sort
}

# One line for each: its name, its size in bytes, and how many words of that are reserved.
sizes()
{
    {
        printf '#include <mproc.h>\n#include <stdio.h>\nint main(void)\n{\n'
        while IFS=$'\t' read -r name reserved; do
            if [ "$reserved" = reserved ]; then
                printf 'printf("%%s %%zu, %%zu reserved\\n", "%s", sizeof(%s), sizeof((%s *)0)->reserved / 8);\n' \
                    "$name" "$name" "$name"
            else
                printf 'printf("%%s %%zu\\n", "%s", sizeof(%s));\n' "$name" "$name"
            fi
        done
        printf '}\n'
    } >"$folder/sizes.c"
    "${CC:-cc}" -Iinclude "$folder/sizes.c" -o "$folder/sizes"
    "$folder/sizes"
}

structs >"$folder/structs"
sizes <"$folder/structs" >"$folder/sizes.txt"

if [ "${1:-}" = --write ]; then
    cp "$folder/sizes.txt" test/compile/sizes.txt
    exit
fi

status=0
if missing=$(grep -E '^mproc_(\w+_options|\w+_statistics|\w+_stats|map|postmortem|manager_type)	-' "$folder/structs"); then
    echo "without a member reserved: $missing"
    status=1
fi
if ! diff test/compile/sizes.txt "$folder/sizes.txt"; then
    echo 'The sizes of public structs (>) are not those of test/compile/sizes.txt (<).'
    echo 'Let new members take room from reserved; see "Structs that may grow" in CONTRIBUTING.md.'
    status=1
fi
exit $status
