#include "kernels.cuh"
#include "plugin.h"

namespace surgeon
{

namespace
{

//! Place i of an output axis is place i modulo the input's length of that axis. The batch is not repeated.
template <typename T>
__global__ void tileAxes(T const* x, T* y, int64_t count, nvinfer1::Dims input, nvinfer1::Dims output)
{
    for (int64_t i = firstElement(); i < count; i += elementStride())
    {
        int64_t rest = i;
        int64_t source = 0;
        int64_t stride = 1;
        for (int32_t axis = input.nbDims - 1; axis >= 0; --axis)
        {
            source += rest % output.d[axis] % input.d[axis] * stride;
            stride *= input.d[axis];
            rest /= output.d[axis];
        }
        y[i] = x[source + rest * stride];
    }
}

//! The tensor repeated along its axes.
struct Tile
{
    static constexpr char const* kName = "SurgeonTile";
    static constexpr int32_t kMost = 7;

    struct Fields
    {
        int32_t count;
        int32_t repeats[kMost];
    };

    static std::vector<FieldSpec> specs()
    {
        return {{"repeats", nvinfer1::PluginFieldType::kINT32, kMost}};
    }

    static Fields read(FieldReader& reader)
    {
        auto const repeats = reader.integers("repeats", kMost, 1, std::numeric_limits<int32_t>::max());
        Fields fields{};
        fields.count = static_cast<int32_t>(repeats.size());
        std::copy(repeats.begin(), repeats.end(), fields.repeats);
        return fields;
    }

    static std::string shape(Fields const& fields, nvinfer1::Dims const& input, nvinfer1::Dims& output)
    {
        if (fields.count != input.nbDims)
        {
            return "the field 'repeats' has " + std::to_string(fields.count) + " values; expected "
                + std::to_string(input.nbDims) + ", one for each axis after the batch";
        }
        output = input;
        for (int32_t i = 0; i < input.nbDims; ++i)
        {
            int64_t const length = static_cast<int64_t>(input.d[i]) * fields.repeats[i];
            if (length > std::numeric_limits<int32_t>::max())
            {
                return "the field 'repeats' makes axis " + std::to_string(i + 1) + " longer than 2147483647";
            }
            output.d[i] = static_cast<int32_t>(length);
        }
        return {};
    }

    template <typename T>
    static void launch(Fields const&, int32_t batch, nvinfer1::Dims const& input, nvinfer1::Dims const& output, T const* x,
        T* y, cudaStream_t stream)
    {
        int64_t const count = batch * volume(output);
        tileAxes<<<blocks(count), kThreads, 0, stream>>>(x, y, count, input, output);
    }
};

using TileCreator = Creator<Tile>;

} // namespace

REGISTER_TENSORRT_PLUGIN(TileCreator);

} // namespace surgeon
