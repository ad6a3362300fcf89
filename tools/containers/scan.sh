#!/usr/bin/env bash
# Scans the images of images.lock.yaml for known vulnerabilities with trivy or grype, whichever is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
lock=images.lock.yaml
if [ ! -e $lock ]; then
  echo "error: $lock: does not exist; run python build_components.py" >&2
  exit 2
fi
if command -v trivy >/dev/null; then
  scan=(trivy image --severity HIGH,CRITICAL --exit-code 1)
elif command -v grype >/dev/null; then
  scan=(grype --fail-on high)
else
  echo "error: scanner: neither trivy nor grype is installed; install one" >&2
  exit 2
fi
status=0
while read -r image; do
  "${scan[@]}" "$image" || status=1
done < <(awk '/repository:/ {name = $2} /  tag:/ {tag = $2} /  digest:/ {print $2 == "null" ? name ":" tag : name "@" $2}' $lock)
exit $status
