#pragma once

#include "detection.h"
#include "fields.h"

#include <string>
#include <vector>

namespace surgeon
{

//! What is the same of the detection plugin in every interface of TensorRT.
namespace detection
{

//! One name for each kind of batch: UFF's parser knows names alone, and takes whichever version it finds.
constexpr char const* kImplicitName = "SurgeonDetection";
constexpr char const* kExplicitName = "SurgeonDetectionDynamic";

//! Inputs in their order; the last is left out where boxes are given as they are.
constexpr int32_t kEncodings = 0;
constexpr int32_t kScores = 1;
constexpr int32_t kAnchors = 2;

constexpr int32_t kOutputs = 2;

std::vector<FieldSpec> specs();

//! Return the validated fields; FieldReader::refuse is called for what does not fit.
DetectionFields read(FieldReader& reader);

//! Return why inputs of so many numbers a picture do not go together, nothing where they do; `anchors` is their number.
std::string anchorsOf(DetectionFields const& fields, std::vector<int64_t> const& volumes, int32_t& anchors);

} // namespace detection

} // namespace surgeon
