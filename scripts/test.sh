#!/bin/sh
# Run the tests of some tiers, the quick ones first; a stage begins when the one before has passed.
#   scripts/test.sh TIER...   or `all`; ARGS has more for pytest, JOBS says how many tests run at a time
#   scripts/test.sh --again   what failed in the last run, one test after the other, and what has not run yet
# Coverage is measured where all tiers are chosen and COVERAGE=yes, as `make coverage` does: it doubles what most tests
# cost. build/tests has the choice, and each test as soon as it passed.
set -eu
cd "$(dirname "$0")/.."
bin=${VENV:-.venv}/bin
results=build/tests
everything="unit db kernel web host fleet vm k8s"

again=
if [ "$*" = --again ]; then
    again=--again
    [ -e $results/tiers ] || { echo "No test has run here yet: make test" >&2; exit 1; }
    cp $results/passed $results/before
else
    rm -rf $results build/coverage
    mkdir -p $results build/coverage
    chmod 1777 build/coverage # some tests run as another user
    case " $* " in *" all "*) echo "$everything" ;; *) echo "$*" ;; esac >$results/tiers
    echo "${ARGS:-}" >$results/arguments
    echo "${COVERAGE:-}" >$results/coverage
    : >$results/passed
    : >$results/finished
fi
tiers=$(cat $results/tiers)
program="-m pytest"
covered=
if [ "$tiers" = "$everything" ] && [ "$(cat $results/coverage)" = yes ]; then
    covered=yes
    export COVERAGE_FILE="$PWD/build/coverage/data"
    program="-m coverage run -m pytest"
fi

# Run pytest with these arguments. A signal that ends us ends it first: it takes down what the tests have started.
run() {
    python=$bin/python
    [ "$stage" != web ] || python=${VENV:-.venv}-web/bin/python # the dashboard is not in the environment of the hosts
    # shellcheck disable=SC2086 # several words on purpose
    "$python" $program --results=$results $again "$@" &
    child=$!
    trap 'stopped=yes; kill -TERM $child' TERM HUP
    trap 'stopped=yes' INT # it has got that one, too
    status=0
    wait $child || status=$?
    while kill -0 $child 2>/dev/null; do
        status=0
        wait $child || status=$?
    done
    trap - TERM HUP INT
}

stopped='' failed='' ran=''
for stage in "unit db kernel" web host fleet vm k8s; do
    chosen=
    for tier in $stage; do
        case " $tiers " in *" $tier "*) chosen="$chosen $tier" ;; esac
    done
    [ -n "$chosen" ] || continue
    if [ -n "$stopped$failed" ]; then
        echo "==$chosen: not begun =="
        continue
    fi
    # It may be building since the run began (.ci/run): then this waits for it.
    [ "$stage" != k8s ] || scripts/kubernetes.sh || echo "going on without Kubernetes" >&2
    jobs=${JOBS:-3}
    # These wait more than they work; a host that boots does not.
    [ "$jobs" = 1 ] || [ "$stage" != "unit db kernel" ] || jobs=$((2 * jobs))
    jobs="-n $jobs"
    ! grep -qFx "$stage" $results/finished || jobs= # what is left failed among others: alone it may pass
    begun=$(date +%s)
    # pyproject.toml's limit for a test that hangs is for the longest of them, in the VM.
    case $stage in
        "unit db kernel" | web) jobs="$jobs -o faulthandler_timeout=600" ;;
    esac
    eval "run --tiers='$chosen' $jobs $(cat $results/arguments)"
    [ -n "$stopped" ] || echo "$stage" >>$results/finished
    case $status in
        0) ran=yes ;;
        5) ;; # no test was chosen, as with -k
        *) failed=yes ;;
    esac
    took=$(($(date +%s) - begun))
    echo "==$chosen: $took s =="
    printf '%6d s %s\n' $took "$chosen" >>$results/stages
done

if [ -n "$stopped" ]; then
    echo "Interrupted. What has not passed yet: make test-again" >&2
    exit 130
fi
if [ -n "$covered" ]; then
    "$bin/python" scripts/report_coverage.py || failed=yes
fi
[ -n "$ran$again$failed" ] || { echo "No test was chosen." >&2; failed=yes; }
[ -z "$failed" ] || exit 1
