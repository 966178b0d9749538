#!/bin/sh
# Does one operation and says where the result lies: run.sh OPERATION INPUT OUTPUT [OPTION ...]
set -eu
operation=$1 input=$2 output=$3
shift 3
mkdir -p "$(dirname "$output")"
case $operation in
letters) exec audobon run letters "$input" "$@" ;;
panels) exec audobon run panels "$input" -o "${output%.*}" --overwrite "$@" ;;
*) exec audobon run "$operation" "$input" -o "$output" --overwrite "$@" ;;
esac
