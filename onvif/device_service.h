#pragma once

#include <stdbool.h>

#include "onvif/onvif_call.h"

/* ONVIF Device Management (Core Specification, "Device management service"): what there is to read. Nothing is changed by it. */

bool device_get_date(struct onvif_call *call);
bool device_get_services(struct onvif_call *call);
bool device_get_capabilities(struct onvif_call *call);
bool device_get_wsdl_url(struct onvif_call *call);
bool device_get_hostname(struct onvif_call *call);
bool device_get_endpoint(struct onvif_call *call);
bool device_get_information(struct onvif_call *call);
bool device_get_scopes(struct onvif_call *call);
bool device_get_discovery_mode(struct onvif_call *call);
bool device_get_interfaces(struct onvif_call *call);
bool device_get_protocols(struct onvif_call *call);
bool device_get_gateway(struct onvif_call *call);
bool device_get_dns(struct onvif_call *call);
bool device_get_ntp(struct onvif_call *call);
bool device_get_users(struct onvif_call *call);

/* GetServiceCapabilities, of every service. */
bool device_get_service_capabilities(struct onvif_call *call);
