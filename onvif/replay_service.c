#include "onvif/replay_service.h"

#include <string.h>

#define TRP SOAP_REPLAY_SPACE
#define TT SOAP_SCHEMA_SPACE
#define SESSION_TIMEOUT_S 60 /* of RTSP; it is not changed */

void replay_write_capabilities(xmlNode *parent)
{
	xmlNode *node = soap_add(parent, TRP, "Capabilities");

	soap_set_bool(node, "ReversePlayback", true);
	soap_set_format(node, "SessionTimeoutRange", "%d %d", SESSION_TIMEOUT_S, SESSION_TIMEOUT_S);
	soap_set_bool(node, "RTP_RTSP_TCP", true);
}

bool replay_get_uri(struct onvif_call *call)
{
	const xmlNode *setup = soap_child(call->in.body, TRP, "StreamSetup");
	const char *port = strrchr(onvif_setup()->rtsp, ':');
	char token[ONVIF_TOKEN_BYTES], stream[32], protocol[32];

	if (!onvif_call_text(call, "RecordingToken", token, sizeof(token)) ||
		!onvif_camera_find(call, token))
		return onvif_call_refuse(call, ONVIF_FAULT_NO_RECORDING);
	(void)soap_text(soap_child(setup, TT, "Stream"), stream, sizeof(stream));
	(void)soap_text(soap_child(soap_child(setup, TT, "Transport"), TT, "Protocol"), protocol,
		sizeof(protocol));
	if (!port || !strcmp(stream, "RTP-Multicast"))
		return onvif_call_refuse(call, ONVIF_FAULT_BAD_STREAM);
	if (!strcmp(protocol, "HTTP"))
		soap_add_format(call->answer, TRP, "Uri", "%s/recordings/%s", call->base, token);
	else
		soap_add_format(call->answer, TRP, "Uri", "rtsp://%s%s/recordings/%s", call->host,
			port, token);
	return true;
}

bool replay_get_configuration(struct onvif_call *call)
{
	soap_add_duration(soap_add(call->answer, TRP, "Configuration"), TT, "SessionTimeout",
		SESSION_TIMEOUT_S * INT64_C(1000000));
	return true;
}

bool replay_set_configuration(struct onvif_call *call)
{
	const xmlNode *configuration = soap_child(call->in.body, TRP, "Configuration");
	int64_t timeout_us;

	if (!soap_duration(soap_child(configuration, TT, "SessionTimeout"), &timeout_us))
		return onvif_call_refuse(call, ONVIF_FAULT_MISSING);
	return timeout_us == SESSION_TIMEOUT_S * INT64_C(1000000) ||
	       onvif_call_refuse(call, ONVIF_FAULT_FIXED);
}
