// The few values that are wanted out of the JSON files of an OCI container. They are read as a stream that is
// left as soon as the value is there: a config.json has some tens of KiB, its annotations are a small part of
// it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

using Annotations = std::map<std::string, std::string, std::less<>>;

// `annotations` of a config.json (OCI runtime-spec 1.0, config.md); none when it has none. kCorrupt: no JSON
// up to there.
Result<Annotations> ReadAnnotations(std::string_view config_json);

// Where the container's bundle is, as the runtime itself remembers it: in runc's state.json (1.0 to 1.3)
// among `config.labels` as "bundle=PATH", in crun's status as `bundle`. kCorrupt: no JSON; kNotFound: it does
// not say.
Result<std::string> ReadBundle(std::string_view state_json);

// The content of a regular file of at most `bytes_max` bytes. Nothing else is opened for longer than it takes
// to see that it is something else: no FIFO is waited for. The descriptor does not outlive an exec. kCorrupt:
// it is larger; kIo: anything else.
Result<std::string> ReadSmallFile(const std::string& path, size_t bytes_max);

}  // namespace holdfast
