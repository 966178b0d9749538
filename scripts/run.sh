#!/bin/sh
# Does one operation and says where the result lies: run.sh OPERATION INPUT OUTPUT [OPTION ...]
# Without INPUT the sample page; without OUTPUT a name in out/.
set -eu
operation=$1 input=$2 output=$3
shift 3
replace=
if [ -z "$input" ]; then
    input=samples/the-wren/page-1.png
    # Our own sample may be done again and again; anything of yours is replaced only when you say so.
    replace=--overwrite
fi
if [ -z "$output" ]; then
    name=$(basename "$input")
    ending=
    if [ ! -d "$input" ]; then
        case $name in ?*.*) ending=.${name##*.} name=${name%.*} ;; esac
    fi
    mkdir -p out
    case $operation in
    letters) output=out/$name-letters.json ;;
    panels) output=out/$name-panels ;;
    *) output=out/$name-$operation$ending ;;
    esac
fi
if [ "$operation" = letters ]; then
    # The text is what one wants to see; the file holds boxes and confidence too.
    audobon run letters "$input" -o "$output" $replace "$@" >/dev/null
    exec audobon run letters "$input" "$@" --quiet
fi
exec audobon run "$operation" "$input" -o "$output" $replace "$@"
