"""IPv6 autoconfiguration of links that no network service configures: by kernel variables."""

from __future__ import annotations

from collections.abc import Mapping

from multinic.values.desired import DesiredLink


def sysctls(link: DesiredLink) -> Mapping[str, str]:
    """Return the variables of a link, so that it gets only those addresses and routes that its row asks for.

    Values of Documentation/networking/ip-sysctl.rst.
    """
    options = link.options
    found = {"addr_gen_mode": "0" if 6 in link.link_local else "1"}  # 0: EUI-64, 1: none
    if not options.accept_ra:
        return found | {"accept_ra": "0"}
    found |= {"accept_ra": "2", "autoconf": "1"}  # 2: on a router too, which every Kubernetes node is
    if not options.default_route:
        return found | {"accept_ra_defrtr": "0"}
    metric = {} if options.metric is None else {"ra_defrtr_metric": str(options.metric)}
    return found | {"accept_ra_defrtr": "1"} | metric
