#include "detection_fields.h"

#include <limits>

namespace surgeon
{

namespace detection
{

using nvinfer1::PluginFieldType;

std::vector<FieldSpec> specs()
{
    auto const whole = PluginFieldType::kINT32;
    auto const number = PluginFieldType::kFLOAT32;
    return {{"classes", whole}, {"background", whole}, {"shareLocation", whole}, {"coding", whole}, {"scoreConverter", whole},
        {"scoreScale", number}, {"scoreThreshold", number}, {"scoreAtLeast", whole}, {"iouThreshold", number},
        {"softSigma", number}, {"classAgnostic", whole}, {"maxPerClass", whole}, {"maxTotal", whole}, {"clip", whole},
        {"dropEmpty", whole}};
}

DetectionFields read(FieldReader& reader)
{
    constexpr int32_t most = std::numeric_limits<int32_t>::max();
    DetectionFields fields{};
    fields.classes = reader.integer("classes", 1, most);
    fields.background = reader.integer("background", -1, fields.classes - 1);
    fields.shareLocation = reader.integer("shareLocation", 0, 1);
    fields.coding = reader.integer("coding", 0, 1);
    fields.scoreConverter = reader.integer("scoreConverter", 0, 2);
    fields.scoreScale = reader.number("scoreScale");
    fields.scoreThreshold = reader.number("scoreThreshold");
    fields.scoreAtLeast = reader.integer("scoreAtLeast", 0, 1);
    fields.iouThreshold = reader.number("iouThreshold");
    fields.softSigma = reader.number("softSigma");
    fields.classAgnostic = reader.integer("classAgnostic", 0, 1);
    fields.maxPerClass = reader.integer("maxPerClass", 1, most);
    fields.maxTotal = reader.integer("maxTotal", 1, most);
    fields.clip = reader.integer("clip", 0, 2);
    fields.dropEmpty = reader.integer("dropEmpty", 0, 2);
    if (fields.iouThreshold < 0.0F || fields.iouThreshold > 1.0F)
    {
        reader.refuse("the field 'iouThreshold' is " + std::to_string(fields.iouThreshold) + "; expected 0 to 1");
    }
    if (fields.softSigma < 0.0F)
    {
        reader.refuse("the field 'softSigma' is " + std::to_string(fields.softSigma) + "; expected 0 or more");
    }
    return fields;
}

std::string anchorsOf(DetectionFields const& fields, std::vector<int64_t> const& volumes, int32_t& anchors)
{
    bool const corners = fields.coding == static_cast<int32_t>(Coding::kCORNERS);
    if (volumes.size() != 3 && !(corners && volumes.size() == 2))
    {
        return std::to_string(volumes.size()) + " inputs are given; expected encodings, scores and anchors";
    }
    int64_t const scores = volumes[kScores];
    int64_t const count = scores / fields.classes;
    if (count < 1 || count * fields.classes != scores)
    {
        return "the scores are " + std::to_string(scores) + " numbers a picture; expected a multiple of "
            + std::to_string(fields.classes) + " classes";
    }
    if (scores > std::numeric_limits<int32_t>::max())
    {
        return "the scores are " + std::to_string(scores) + " numbers a picture; expected fewer than 2^31";
    }
    int64_t const boxes = 4 * count * (fields.shareLocation != 0 ? 1 : fields.classes);
    if (volumes[kEncodings] != boxes)
    {
        return "the encodings are " + std::to_string(volumes[kEncodings]) + " numbers a picture; expected "
            + std::to_string(boxes) + " for " + std::to_string(count) + " anchors";
    }
    if (!corners && volumes[kAnchors] != 8 * count)
    {
        return "the anchors are " + std::to_string(volumes[kAnchors]) + " numbers; expected " + std::to_string(8 * count)
            + ", corners and variances of " + std::to_string(count);
    }
    anchors = static_cast<int32_t>(count);
    return {};
}

} // namespace detection

} // namespace surgeon
