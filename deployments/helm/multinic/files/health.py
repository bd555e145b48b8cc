"""Print what an agent says of itself, and fail unless it is healthy: the test of the chart."""

import json
import sys
import urllib.error
import urllib.request

try:
    with urllib.request.urlopen(sys.argv[1], timeout=10) as answer:
        document = json.load(answer)
except urllib.error.HTTPError as e:  # it is unhealthy, and says why
    document = json.load(e)
except OSError as e:
    sys.exit(f"no agent answers on {sys.argv[1]}: {e}")
print(json.dumps(document, indent=2))
if document["status"] != "healthy":
    sys.exit(f"the agent of this node is {document['status']}")
