#pragma once

#include <NvInfer.h>

#include <string>

namespace surgeon
{

using Severity = nvinfer1::ILogger::Severity;

//! Hand a line to TensorRT's logger, or to stderr where no logger exists yet; never throws.
void log(Severity severity, char const* who, std::string const& what) noexcept;

} // namespace surgeon
